#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""deploy/rehearse --serve plays its scenario, says how to attach and serves; SIGINT or SIGTERM: outputs off, all parts
ended within five seconds."""
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest

from client import Client
import harness

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCENARIO = harness.small_scenario(frames=40, more="""
[cell]
capacity_c = 1e-6
voltage_v = [[0.0, 3.0], [1.0, 4.0]]
[[step]]
t_s = 0.4
current_a = 5e-9
""")


class Rehearse(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="latticed-rehearse-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "tiny.toml").write_text(SCENARIO)

    def rehearse(self, *arguments):
        with open(self.folder / "said", "wb") as said:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", ROOT / "deploy/rehearse", self.folder / "tiny.toml", "--out",
                 self.folder / "out", "--bin", harness.BIN, *arguments], stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
                start_new_session=True)

        def end():
            if process.poll() is None:
                process.terminate()
            process.wait(harness.DEADLINE_S)
        self.addCleanup(end)
        return process

    def said(self):
        return (self.folder / "said").read_text()

    def wait_until_it_says(self, process, pattern):
        def said():
            found = re.search(pattern, self.said(), re.M)
            self.assertTrue(found or process.poll() is None, self.said())
            return found
        return harness.wait_for(said, f"rehearse says {pattern}")

    def parts(self):
        """Processes that were started for this folder."""
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if str(harness.BIN) in command[0] and any(str(self.folder) in word for word in command):
                found.append(pathlib.Path(command[0]).name)
        return sorted(found)

    def serve(self):
        process = self.rehearse("--serve", "--grpc", "127.0.0.1:0", "--zmq", "tcp://127.0.0.1:0")
        ready = self.wait_until_it_says(process, r"^ready grpc=(\S+) zmq=(\S+)$")
        return process, ready[1]

    def check_end(self, how, status):
        process, server = self.serve()
        self.wait_until_it_says(process, "serving until SIGINT or SIGTERM")
        self.assertEqual(self.parts(), ["latticed", "latticed-guard", "sim-world"])
        with Client(server) as client:
            # What it has played is there, and whoever attaches begins a run of his own.
            last = client.call("Acquisition", "GetStatus")
            self.assertEqual((last.ended, last.detectors[0].measured, last.stamp.rehearsal), ("completed", 40, True))
            for method in ("Configure", "Arm", "Start"):
                client.call("Acquisition", method)
            stream = client.stream("Measurements", "Watch", from_seq=0)
            self.assertEqual(stream.first(lambda event: event.HasField("measurement")).stamp.epoch, 2)
            client.call("Holder", "Arm", who="Ada")
            client.call("Holder", "SetSource", mode="SOURCE_MODE_CURRENT", level=1e-9, who="Ada")
            client.call("Holder", "SetOutput", on=True, who="Ada")

            began = time.monotonic()
            os.kill(process.pid, how)
            self.assertEqual(process.wait(harness.DEADLINE_S), status)
            self.assertLess(time.monotonic() - began, harness.PROMISED_END_S)
        self.assertEqual(self.parts(), [])
        audit = [json.loads(line) for line in (self.folder / "out/guard-audit.jsonl").read_text().splitlines()]
        self.assertIn("safe_off", [entry["event"] for entry in audit])
        self.assertEqual(audit[-1]["event"], "end")
        recordings = sorted((self.folder / "out").glob("*.nxs*"))
        self.assertEqual([file.suffix for file in recordings], [".nxs", ".nxs"], recordings)

    def test_serves_and_ends_by_sigint(self):
        self.check_end(signal.SIGINT, 130)

    def test_serves_and_ends_by_sigterm(self):
        self.check_end(signal.SIGTERM, 143)

    def test_says_how_to_attach_in_commands_that_work(self):
        process, _ = self.serve()
        self.wait_until_it_says(process, "^switch off: .*$")
        for word in ("look at it", "switch off"):
            command = re.search(rf"^{word}: *(.*)$", self.said(), re.M)[1]
            done = subprocess.run(command.split(), cwd=self.folder, capture_output=True, text=True,
                                  timeout=harness.DEADLINE_S)
            self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        self.assertEqual((self.folder / "aligned.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")

    def test_ends_by_itself_with_a_verdict_where_it_is_not_to_serve(self):
        process = self.rehearse()
        self.assertEqual(process.wait(harness.DEADLINE_S), 0, self.said())
        summary = json.loads((self.folder / "out/summary.json").read_text())
        self.assertEqual((summary["frames"], summary["lost"]), (40, 0))
        self.assertTrue((self.folder / "out/rehearsal.png").exists())
        self.assertEqual(self.parts(), [])

    def test_measures_all_detectors_and_scores_the_scenarios_first(self):
        second = '[[detector]]\nname = "abf"\nwidth = 128\nheight = 128\npixel_size_nm = 0.06\nlattice_scale = -0.8\n'
        (self.folder / "tiny.toml").write_text(SCENARIO + second)
        process = self.rehearse()
        self.assertEqual(process.wait(harness.DEADLINE_S), 0, self.said())
        self.assertIn("measured by abf camera; scored: camera", self.said())
        self.assertEqual(json.loads((self.folder / "out/summary.json").read_text())["frames"], 40)
        for detector in ("camera", "abf"):
            self.assertEqual(len((self.folder / f"out/{detector}.jsonl").read_text().splitlines()), 40, detector)
            self.assertTrue((self.folder / f"out/{detector}-figures/page.png").exists())


if __name__ == "__main__":
    harness.main()
