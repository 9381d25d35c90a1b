#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""latticed-guard as a process between a sim-world and daemons that stop, die and misbehave."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

GUARD, SIM_WORLD = (os.environ[name] for name in ("GUARD", "SIM_WORLD"))
FAKE_DAEMON = pathlib.Path(__file__).with_name("fake_daemon.py")
DEADLINE_S = 60  # only ends what hangs

SCENARIO = """
name = "small"
frame_period_s = 0.02
[[detector]]
width = 64
height = 64
pixel_size_nm = 0.05
[specimen]
field = "lattice"
[cell]
capacity_c = 1e-6
voltage_limit_v = 10.0
voltage_v = [[0.0, 3.0], [1.0, 5.0]]
"""

CONFIG = """
[guard]
socket = "{folder}/guard.sock"
safe_off_socket = "{folder}/safe-off.sock"
audit = "{folder}/audit.jsonl"
[[holder]]
name = "bias"
{more}
[holder.simulator]
socket = "{folder}/world.sock"
[holder.limits]
voltage_v = [{voltage_v}]
voltage_v_per_s = 1.0
current_a = [-1e-7, 1e-7]
current_a_per_s = {slope}
temperature_k = [280.0, 600.0]
temperature_k_per_s = 1000.0
"""


def wait_for(condition, what, deadline_s=DEADLINE_S):
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.005)
    raise AssertionError(f"{what}: not within {deadline_s} s")


class Lines:
    """JSON lines over a Unix socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE_S)
        wait_for(lambda: self._connect(path), f"connect to {path}")
        self.lines = self.socket.makefile("r")
        self.count = 0

    def _connect(self, path):
        try:
            self.socket.connect(str(path))
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False

    def read(self):
        line = self.lines.readline()
        return json.loads(line) if line else None

    def close(self):
        self.lines.close()
        self.socket.close()


class World(Lines):
    def ask(self, cmd, **more):
        self.socket.sendall((json.dumps({"cmd": cmd, **more}) + "\n").encode())
        return self.read()

    def holder(self):
        return self.ask("status")["holder"]


class Daemon(Lines):
    """Beats its heart by itself; keeps the events that came."""

    def __init__(self, path, beats=True):
        super().__init__(path)
        self.events, self.answers, self.lock = [], {}, threading.Lock()
        self.is_over = threading.Event()
        self.reader = threading.Thread(target=self._listen, daemon=True)
        self.reader.start()
        if beats:
            threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self):
        while not self.is_over.is_set():
            try:
                self.send({"do": "heartbeat"})
            except OSError:
                return
            time.sleep(0.05)

    def _listen(self):
        try:
            while (line := self.read()) is not None:
                if "event" in line:
                    self.events.append(line)
                else:
                    self.answers[line["id"]] = line
        except (OSError, ValueError):
            pass

    def send(self, line):
        with self.lock:
            self.socket.sendall((json.dumps(line) + "\n").encode())

    def ask(self, do, **more):
        self.count += 1
        number = self.count
        self.send({"do": do, "id": number, **more})
        return wait_for(lambda: self.answers.get(number), do)

    def state(self):
        return self.ask("list")["holders"][0]["status"]

    def turn_on(self, current_a=1e-8, compliance=4.0):
        for answer in (self.ask("arm", holder="bias", who="Ada", token=1),
                       self.ask("set_source", holder="bias", mode="current", level=current_a, compliance=compliance,
                                token=1),
                       self.ask("set_output", holder="bias", on=True, token=1)):
            assert answer["ok"], answer

    def close(self):
        if self.is_over.is_set():
            return
        self.is_over.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.reader.join()
        super().close()


class GuardTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="latticed-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "scenario.toml").write_text(SCENARIO)

    def start(self, *command):
        process = subprocess.Popen([str(part) for part in command], cwd=self.folder, stdout=subprocess.PIPE, text=True)

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdout.close()
        self.addCleanup(end)
        return process

    def world(self):
        process = self.start(SIM_WORLD, "--scenario", "scenario.toml", "--socket", self.folder / "world.sock",
                             "--truth", self.folder / "truth.jsonl")
        self.assertIn("ready", process.stdout.readline())
        link = World(self.folder / "world.sock")
        self.addCleanup(link.close)
        return process, link

    def run_camera(self):
        """Experiment time passes."""
        camera = World(self.folder / "world.sock")
        self.addCleanup(camera.close)
        for cmd in ("open", "configure", "arm", "start"):
            answer = camera.ask(cmd)
            self.assertTrue(answer["ok"], answer)
        return camera

    def guard(self, more="", voltage_v="-0.5, 5.0", slope=1.0):
        (self.folder / "guard.toml").write_text(
            CONFIG.format(folder=self.folder, more=more, voltage_v=voltage_v, slope=slope))
        process = self.start(GUARD, "--config", "guard.toml")
        self.assertRegex(process.stdout.readline(), "ready socket=.* safe_off=.*")
        return process

    def daemon(self, state="disarmed"):
        daemon = Daemon(self.folder / "guard.sock")
        self.addCleanup(daemon.close)
        if state:
            wait_for(lambda: daemon.state()["state"] == state, state)
        return daemon

    def audit(self):
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text().splitlines()]

    def is_off(self, world):
        present = world.holder()
        return not present["output"] and not present["heater"]

    def test_turns_on_what_an_armed_person_asks_for_and_writes_it_down_first(self):
        _, world = self.world()
        self.guard()
        daemon = self.daemon()
        self.assertEqual(daemon.ask("set_output", holder="bias", on=True)["reason"], "NOT_ARMED")
        daemon.turn_on()
        wait_for(lambda: world.holder()["current_a"] == 1e-8, "current")
        self.assertEqual(daemon.state()["armed_by"], "Ada")
        self.assertTrue(daemon.ask("off")["ok"])
        wait_for(lambda: self.is_off(world), "off")
        events = [(line["event"], line.get("do")) for line in self.audit()]
        self.assertLess(events.index(("intent", "set_output")), events.index(("outcome", "set_output")))
        wait_for(lambda: any(line["event"] == "outcome" and line["do"] == "off" for line in self.audit()), "off in the audit")

    def test_says_by_how_much_a_limit_was_passed(self):
        self.world()
        self.guard()
        daemon = self.daemon()
        self.assertTrue(daemon.ask("arm", holder="bias", who="Ada")["ok"])
        answer = daemon.ask("set_source", holder="bias", mode="current", level=2e-7, compliance=4.0)
        self.assertEqual(answer["code"], "out_of_range")
        self.assertEqual((answer["reason"], answer["limit"], answer["value"], answer["unit"]),
                         ("ABOVE_LIMIT", 1e-7, 2e-7, "A"))
        self.assertEqual(answer["message"], "set_source 2e-07 A: above holder limit 1e-07 A")
        self.assertEqual(daemon.ask("set_source", holder="bias", mode="current", level=1e-8)["reason"],
                         "COMPLIANCE_REQUIRED")
        self.assertEqual(daemon.ask("set_source", holder="bias", mode="current", level=None, compliance=1.0)["reason"],
                         "NOT_A_NUMBER")
        self.assertEqual(daemon.ask("set_temperature", holder="bias", temperature_k=1000.0)["limit"], 600.0)
        self.assertEqual(daemon.ask("arm", holder="nobody", who="Ada")["reason"], "NO_SUCH_HOLDER")

    def test_stays_up_whatever_bytes_come(self):
        self.world()
        self.guard()
        daemon = self.daemon()
        for line in (b"\n", b"{\n", b"[]\n", b"\xff\xfe\n", b'{"do":7}\n', b'{"do":"fly"}\n', b'{"id":1}\n',
                     b'{"do":"set_source","holder":"bias","level":"much"}\n', b'{"do":"arm","holder":7}\n',
                     b'{"do":"set_source","holder":"bias","mode":"current","level":1e999,"compliance":1}\n'):
            daemon.socket.sendall(line)
        self.assertEqual(daemon.state()["state"], "disarmed")

    def test_a_daemon_that_dies_or_hangs_leaves_no_output_on(self):
        _, world = self.world()
        self.guard()
        took = {signal.SIGKILL: [], signal.SIGSTOP: []}
        for _ in range(3):
            for how in took:
                daemon = self.daemon()
                daemon.close()
                fake = self.start(sys.executable, FAKE_DAEMON, self.folder / "guard.sock", "bias", "1e-8")
                self.assertEqual(fake.stdout.readline().strip(), "on")
                wait_for(lambda: world.holder()["current_a"] == 1e-8, "current")
                began = time.monotonic()
                fake.send_signal(how)
                wait_for(lambda: self.is_off(world), "outputs off")
                took[how].append(time.monotonic() - began)
                fake.kill()
                fake.wait()
        for how, times in took.items():
            self.assertLess(min(times), 1.0, how)  # the promise; a loaded machine may be late now and then
        daemon = self.daemon()
        self.assertEqual(daemon.state()["cause"], "heartbeat_lost")

    def test_hold_keeps_the_output_when_the_daemon_dies(self):
        _, world = self.world()
        self.guard(more='on_heartbeat_loss = "hold"')
        daemon = self.daemon()
        daemon.turn_on()
        wait_for(lambda: world.holder()["current_a"] == 1e-8, "current")
        daemon.close()
        wait_for(lambda: any(line.get("cause") == "heartbeat_lost" for line in self.audit()), "heartbeat lost")
        second = self.daemon()
        self.assertEqual(second.state()["state"], "disarmed")
        self.assertEqual(second.state()["cause"], "heartbeat_lost")
        self.assertEqual(world.holder()["current_a"], 1e-8)
        self.assertEqual(second.ask("set_source", holder="bias", mode="current", level=0.0, compliance=4.0,
                                    token=1)["reason"],
                         "NOT_ARMED")
        self.assertTrue(second.ask("safe")["ok"])
        wait_for(lambda: self.is_off(world), "off")

    def test_safe_off_works_while_the_daemon_socket_is_jammed(self):
        _, world = self.world()
        self.guard()
        daemon = self.daemon()
        daemon.turn_on()
        wait_for(lambda: world.holder()["output"], "output")
        # Half a line and nothing read: the daemon is as good as dead, its heart beats on.
        idle = [Lines(self.folder / "safe-off.sock") for _ in range(12)]
        for link in idle:
            self.addCleanup(link.close)
        said = subprocess.run([GUARD, "--off", self.folder / "safe-off.sock"], capture_output=True, text=True,
                              timeout=DEADLINE_S)
        self.assertEqual((said.returncode, said.stdout.strip()), (0, "ok off issued"))
        wait_for(lambda: self.is_off(world), "off")
        wait_for(lambda: daemon.state()["state"] == "disarmed", "disarmed")
        daemon.turn_on()
        wait_for(lambda: world.holder()["output"], "output")
        said = subprocess.run([GUARD, "--safe-off", self.folder / "safe-off.sock"], capture_output=True, text=True,
                              timeout=DEADLINE_S)
        self.assertEqual((said.returncode, said.stdout.strip()), (0, "ok safe issued"))
        wait_for(lambda: self.is_off(world), "off")
        wrong = Lines(self.folder / "safe-off.sock")
        self.addCleanup(wrong.close)
        wrong.socket.sendall(b"please\n")
        self.assertIn("error", wrong.lines.readline())

    def test_a_daemon_that_reads_nothing_harms_nobody(self):
        _, world = self.world()
        self.guard()
        jammed = Lines(self.folder / "guard.sock")
        self.addCleanup(jammed.close)
        stop = threading.Event()

        def shout():
            # Requests whose answers nobody takes, until the guard takes no more either.
            jammed.socket.settimeout(0.2)
            while not stop.is_set():
                try:
                    jammed.socket.sendall(b'{"do":"list","id":1}\n' * 100)
                except socket.timeout:
                    continue
                except OSError:
                    return
        shouting = threading.Thread(target=shout)
        shouting.start()
        try:
            answer = subprocess.run([GUARD, "--off", self.folder / "safe-off.sock"], capture_output=True, text=True,
                                    timeout=DEADLINE_S)
            self.assertEqual(answer.stdout.strip(), "ok off issued")
            shouting.join(DEADLINE_S)  # the guard lets go of it
            self.assertFalse(shouting.is_alive())
        finally:
            stop.set()
            shouting.join()
        self.assertTrue(self.is_off(world))
        self.daemon()

    def test_a_lost_world_is_unreachable_and_comes_back_disarmed(self):
        process, world = self.world()
        self.guard()
        daemon = self.daemon()
        daemon.turn_on()
        wait_for(lambda: world.holder()["output"], "output")
        process.kill()
        process.wait()
        wait_for(lambda: daemon.state()["state"] == "unreachable", "unreachable")
        self.assertEqual(daemon.ask("arm", holder="bias", who="Ada", token=1)["reason"], "UNREACHABLE")
        _, world = self.world()
        wait_for(lambda: daemon.state()["state"] == "disarmed", "back")
        self.assertEqual(daemon.state()["cause"], "device_lost")
        self.assertTrue(self.is_off(world))

    def test_a_measured_value_above_its_limit_trips(self):
        _, world = self.world()
        self.guard(voltage_v="-3.5, 3.1")  # a compliance has no sign: 3.5 V is allowed, and only the readback knows
        daemon = self.daemon()
        self.run_camera()
        daemon.turn_on(current_a=1e-7, compliance=3.5)  # 0.2 V a second from 3 V
        trip = wait_for(lambda: next((e for e in daemon.events if e["event"] == "trip"), None), "trip")
        self.assertEqual(trip["cause"], "voltage_limit")
        self.assertEqual(trip["limit"], 3.1)
        self.assertGreater(trip["value"], 3.1)
        wait_for(lambda: self.is_off(world), "off")
        self.assertEqual(daemon.state()["state"], "tripped")
        self.assertTrue(any(line["event"] == "trip" for line in self.audit()))

    def test_one_daemon_at_a_time(self):
        self.world()
        self.guard()
        first = self.daemon()
        second = Lines(self.folder / "guard.sock")
        self.addCleanup(second.close)
        self.assertEqual(second.read()["event"], "refused")
        self.assertIsNone(second.read())
        self.assertEqual(first.state()["state"], "disarmed")
        first.close()
        self.daemon()

    def test_samples_come_by_themselves(self):
        self.world()
        self.guard()
        daemon = self.daemon()
        self.run_camera()

        def samples():
            return [s for e in daemon.events if e["event"] == "samples" for s in e["samples"]]
        wait_for(lambda: len(samples()) >= 20, "samples")
        times = [s[0] for s in samples()]
        self.assertEqual(times, sorted(set(times)))
        self.assertEqual(samples()[0][1], 3.0)

    def test_ramps_take_their_time_and_the_end_is_safe(self):
        _, world = self.world()
        guard = self.guard(slope=1e-8)
        daemon = self.daemon()
        daemon.turn_on(current_a=5e-9)
        seen = []
        wait_for(lambda: seen.append(world.holder()["current_a"]) or seen[-1] == 5e-9, "5 nA")
        self.assertGreater(len(set(seen)), 10)
        self.assertEqual(seen, sorted(seen))
        began = time.monotonic()
        guard.send_signal(signal.SIGTERM)
        self.assertEqual(guard.wait(DEADLINE_S), 0)
        self.assertLess(time.monotonic() - began, 30.0)
        self.assertTrue(self.is_off(world))
        self.assertFalse((self.folder / "guard.sock").exists())

    def test_a_guard_that_is_killed_leaves_a_device_that_turns_itself_off(self):
        _, world = self.world()
        guard = self.guard()
        self.daemon().turn_on()
        wait_for(lambda: world.holder()["output"], "output")
        guard.kill()
        wait_for(lambda: self.is_off(world), "off")

    def test_sockets_are_their_owners_alone(self):
        self.world()
        self.guard()
        for name in ("guard.sock", "safe-off.sock", "audit.jsonl"):
            self.assertEqual((self.folder / name).stat().st_mode & 0o777, 0o600, name)

    def test_a_second_guard_is_refused_and_mistakes_are_named_together(self):
        self.world()
        self.guard()
        second = subprocess.run([GUARD, "--config", "guard.toml"], cwd=self.folder, capture_output=True, text=True,
                                timeout=DEADLINE_S)
        self.assertEqual(second.returncode, 2)
        self.assertIn("another one answers there", second.stderr)
        (self.folder / "bad.toml").write_text('[guard]\nsokcet = "x"\n[[holder]]\nname = "a"\n')
        bad = subprocess.run([GUARD, "--config", "bad.toml", "--check"], cwd=self.folder, capture_output=True, text=True,
                             timeout=DEADLINE_S)
        self.assertEqual(bad.returncode, 2)
        self.assertTrue(re.search(r"bad.toml:2:\d+: guard.sokcet: unknown key", bad.stderr), bad.stderr)
        self.assertIn("limits", bad.stderr)


if __name__ == "__main__":
    signal.alarm(1200)  # whatever happens, this ends
    unittest.main(verbosity=2)
