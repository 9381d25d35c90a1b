# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole laboratory for a test: sim-world, latticed-guard and latticed as processes in a folder of their own, and clients.

    with Lab(small_scenario(frames=40)) as lab:
        lab.start_run()
        status = lab.wait_for_state("IDLE")

LATTICED_BIN is the folder of the programs. Logs are shown when the `with` is left by an exception; what still runs at
its end must end well when it is asked to."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import h5py

from client import DEADLINE_S, Client, Refused, Subscriber  # noqa: F401: tests say harness.Refused

BIN = pathlib.Path(os.environ["LATTICED_BIN"]).resolve()
PROMISED_END_S = 5.0  # of every part, from SIGTERM or SIGINT to its end


def small_scenario(frames=0, size=128, period_s=0.02, detectors=("camera",), more=""):
    """A scenario that plays quickly; 0 frames = endless. `more`: TOML after [specimen]: its keys, [cell], [[step]]..."""
    return "\n".join([
        'name = "small"', f"frames = {frames}", f"frame_period_s = {period_s}",
        *(f'[[detector]]\nname = "{name}"\nwidth = {size}\nheight = {size}\npixel_size_nm = 0.05'
          for name in detectors),
        '[specimen]\nfield = "lattice"', more])


def wait_for(condition, what, deadline_s=DEADLINE_S):
    """The condition's first true value."""
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {deadline_s} s")


def toml(table):
    """Keys and plain values; text, numbers, booleans and lists of them are written as in JSON."""
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())


class Lab:
    """scenario: text, or the path of a file. speed: times real time, 0 = as fast as frames are measured. stimulus: free,
    client or scenario, see sim/README.md. serve, record, detector: keys added to that part of the daemon's
    configuration; more: TOML at its end, rules for example. limits: keys of the guard's [holder.limits]. Parts that are
    not wanted: guard=False, daemon=False (start_daemon() later)."""

    def __init__(self, scenario=None, *, speed=1, stimulus="free", detectors=("camera",), serve=None, record=None,
                 detector=None, more="", limits=None, guard=True, daemon=True):
        self._scenario = scenario if scenario is not None else small_scenario()
        self.speed, self.stimulus, self._detectors = speed, stimulus, detectors
        self.serve, self._record, self._detector, self._more = serve or {}, record or {}, detector or {}, more
        self._limits, self._wants_guard, self._wants_daemon = limits or {}, guard, daemon
        self.world = self.guard = self.daemon = None
        self.grpc = self.zmq = self.network = ""
        self._started, self._clients, self._client = [], [], None

    # --- the parts --------------------------------------------------------------------------------

    def __enter__(self):
        self._temporary = tempfile.TemporaryDirectory(prefix="latticed-lab-")
        self.folder = pathlib.Path(self._temporary.name)
        self.recordings = self.folder / "recordings"
        self.truth_file = self.folder / "truth.jsonl"
        try:
            if isinstance(self._scenario, os.PathLike):
                self.scenario_file = pathlib.Path(self._scenario)
            else:
                self.scenario_file = self.folder / "scenario.toml"
                self.scenario_file.write_text(self._scenario)
            self.write_configs()
            self.start_world()
            if self._wants_guard:
                self.start_guard()
            if self._wants_daemon:
                self.start_daemon()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def write_configs(self):
        """Again after `serve` was changed, for a daemon that is started then."""
        limits = {"voltage_v": [-0.5, 5.0], "voltage_v_per_s": 50.0, "current_a": [-1e-6, 1e-6],
                  "current_a_per_s": 1e-5, "temperature_k": [250.0, 1300.0], "temperature_k_per_s": 5000.0,
                  **self._limits}
        (self.folder / "guard.toml").write_text("\n".join([
            "[guard]", toml({"socket": str(self.folder / "guard.sock"),
                             "safe_off_socket": str(self.folder / "safe-off.sock"),
                             "audit": str(self.folder / "audit.jsonl")}),
            '[[holder]]\nname = "holder"\ndriver = "simulator"',
            "[holder.simulator]", toml({"socket": str(self.folder / "world.sock")}),
            "[holder.limits]", toml(limits)]))
        serve = {"grpc": "127.0.0.1:0", "zmq": "tcp://127.0.0.1:0", "state_directory": str(self.folder / "state"),
                 **self.serve}
        record = {"directory": str(self.recordings), "least_free_gb": 0.0, **self._record}
        (self.folder / "latticed.toml").write_text("\n".join([
            "[serve]", toml(serve), "[record]", toml(record),
            "[output]", toml({"directory": str(self.folder / "output"), "view": False}),
            "[holder]", toml({"guard_socket": str(self.folder / "guard.sock") if self._wants_guard else ""}),
            *(f'[[detector]]\nname = "{name}"\ndriver = "simulator"\n{toml(self._detector)}\n[detector.simulator]\n'
              + toml({"socket": str(self.folder / "world.sock"), "detector": name}) for name in self._detectors),
            self._more]))

    def start(self, name, *command):
        """Runs a program beside the lab; it ends with the test, however that ends. Its output: NAME.out, NAME.err."""
        with open(self.folder / f"{name}.out", "wb") as out, open(self.folder / f"{name}.err", "ab") as err:
            process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *map(str, command)], cwd=self.folder,
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
        self._started.append((name, process))
        return process

    def _start_ready(self, name, *command):
        process = self.start(name, *command)
        out = self.folder / f"{name}.out"

        def ready():
            lines = [line for line in out.read_text().splitlines(True) if line.startswith("ready") and line[-1] == "\n"]
            if not lines and process.poll() is not None:
                raise AssertionError(f"{name} ended with {process.returncode} before it was ready: {self.log(name)}")
            return lines and lines[0]
        line = wait_for(ready, f"{name}: ready")
        return process, dict(word.split("=", 1) for word in line.split()[1:])

    def start_world(self, *more):
        self.world, _ = self._start_ready(
            "world", BIN / "sim-world", "--scenario", self.scenario_file, "--socket", self.folder / "world.sock",
            "--speed", self.speed, "--stimulus", self.stimulus, "--truth", self.truth_file, *more)
        return self.world

    def start_guard(self):
        self.guard, _ = self._start_ready("guard", BIN / "latticed-guard", "--config", self.folder / "guard.toml")
        return self.guard

    def start_daemon(self, *more):
        """Also again, after it has ended: its log goes on."""
        self.daemon, said = self._start_ready("daemon", BIN / "latticed", "serve", "--config",
                                              self.folder / "latticed.toml", *more)
        self.grpc, self.zmq, self.network = said["grpc"], said["zmq"], said.get("network", "")
        self._client = None
        if self.guard:
            self.wait_for_holder(lambda h: h.arming != self.client.api.enum("ArmingState")["ARMING_STATE_UNREACHABLE"])
        return self.daemon

    def daemon_that_cannot_start(self, *more):
        """Starts one more daemon by the configuration: (its exit status, what it said on stderr)."""
        name = f"refused-{len(self._started)}"
        process = self.start(name, BIN / "latticed", "serve", "--config", self.folder / "latticed.toml", *more)
        status = process.wait(DEADLINE_S)
        return status, self.log(name)

    # --- its end ----------------------------------------------------------------------------------

    def stop(self, process=None, how=signal.SIGTERM):
        """Asks the daemon (or another part) to end: (exit status, seconds it took)."""
        process = process or self.daemon
        began = time.monotonic()
        process.send_signal(how)
        status = process.wait(DEADLINE_S)
        return status, time.monotonic() - began

    def __exit__(self, kind, error, trace):
        for client in self._clients:
            client.close()
        problems = []
        for part in (self.daemon, self.guard, self.world):
            if part and part.poll() is None and kind is None:
                status, _ = self.stop(part)
                if status != 0:
                    name = next(name for name, process in self._started if process is part)
                    problems.append(f"{name} ended with {status}")
        for _, process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
        if kind is not None or problems:
            self.show_logs()
        self._temporary.cleanup()
        if problems:
            raise AssertionError("; ".join(problems))

    def log(self, name):
        """What a part has said on stderr: "daemon", "guard" or "world"."""
        path = self.folder / f"{name}.err"
        return path.read_text(errors="replace") if path.exists() else ""

    def show_logs(self):
        for name in dict.fromkeys(name for name, _ in self._started):
            lines = self.log(name).splitlines()
            print(f"--- {name}, the last of {len(lines)} lines", *lines[-60:], sep="\n", file=sys.stderr)

    # --- its clients --------------------------------------------------------------------------------

    @property
    def client(self):
        """A client of this daemon; always the same one."""
        if self._client is None:
            self._client = self.new_client()
        return self._client

    def new_client(self, target=None, **options):
        """Another one, with a connection of its own."""
        if self._client is not None:
            options.setdefault("api", self._client.api)
        client = Client(target or self.grpc, **options)
        self._clients.append(client)
        return client

    def stalled_stream(self, service, method, **fields):
        """A stream of a client of its own that has been accepted and is not read."""
        # Little waits on the way, so that it is soon the server that has to do without it.
        client = self.new_client(options=(("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 4096)))
        return client.stream(service, method, **fields).accepted()

    def subscriber(self, *topics, **options):
        """A ZeroMQ subscriber; no topic = all of them."""
        subscriber = Subscriber(self.zmq, topics or ("",), self.client.api, **options)
        self._clients.append(subscriber)
        return subscriber

    def state(self, reply):
        """The name of a StatusReply's state: "IDLE"."""
        names = {number: name for name, number in self.client.api.enum("RunState").items()}
        return names[reply.state].removeprefix("RUN_STATE_")

    def status(self):
        return self.client.call("Acquisition", "GetStatus")

    def wait_for_state(self, *wanted):
        """The first status in one of these states: "IDLE", "FAULT"..."""
        stream = self.client.stream("Acquisition", "WatchStatus")
        try:
            return stream.first(lambda reply: self.state(reply) in wanted)
        finally:
            stream.cancel()

    def configure(self, frame_count=0, **settings):
        return self.client.call("Acquisition", "Configure", settings=[
            {"detector": name, "frame_count": frame_count, **settings} for name in self._detectors])

    def start_run(self, frame_count=0):
        """Configure, arm, start; 0 frames = as many as the scenario has."""
        self.configure(frame_count)
        self.client.call("Acquisition", "Arm")
        return self.client.call("Acquisition", "Start")

    def wait_for_frames(self, count):
        """So many frames of the first detector are measured. The status then."""
        def enough():
            status = self.status()
            return status.detectors and status.detectors[0].measured >= count and status
        return wait_for(enough, f"{count} frames measured")

    def edges(self):
        """{(detector, name): Edge}"""
        return {(edge.detector, edge.name): edge for edge in self.client.call("Acquisition", "GetCounters").edges}

    def subscribers(self):
        """The edges of the measurement streams that are open."""
        return {name: edge for (_, name), edge in self.edges().items() if name.startswith("measurements ")}

    def holder(self):
        return self.client.call("Holder", "Read", holder="holder").holder

    def wait_for_holder(self, condition):
        """The holder, once the condition holds for it; also while the guard is not there yet."""
        def holder():
            listed = self.client.call("Holder", "List").holders
            return next((h for h in listed if h.name == "holder" and condition(h)), None)
        return wait_for(holder, "the holder")

    def recording(self):
        """The files of the last recording, complete."""
        return [pathlib.Path(file) for file in self.status().recording.files]

    def recorded(self, detector=None):
        """What the recording of the last run holds: (frame numbers, lost frames, how it ended)."""
        file, = [path for path in self.recording() if detector is None or detector in path.name]
        with h5py.File(file) as recording:
            event1 = recording["entry/measurement/event1"]
            ids = [int(seq) for seq in event1["frame_info/frame_id"][:]]
            images = event1["image1/stack_2d/real"].shape[0]
            assert images == len(ids) == int(recording["entry/latticed/images"][()]), (images, len(ids))
            lost = [int(row["seq"]) + i for row in event1["lost/frames"] for i in range(int(row["count"]))]
            return ids, lost, recording["entry/latticed/ended_by"][()].decode()

    def truth(self):
        """The world's truth: (frames, events)."""
        lines = [json.loads(line) for line in self.truth_file.read_text().splitlines()]
        return [x for x in lines if "t_s" in x], [x for x in lines if "event" in x]


def main():
    """Ends with 77 where every test had to be skipped: CTest says so then."""
    signal.alarm(1200)  # whatever happens, this ends
    result = unittest.main(verbosity=2, exit=False).result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.skipped and len(result.skipped) >= result.testsRun else 0)
