#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon is killed in the middle of a run. The one that follows completes the recording by itself: every frame that
was a second old is in it, as the detector delivered it, nothing else is wrong with it, and the next run works."""
import json
import pathlib
import subprocess
import time
import unittest

import h5py

import harness

OLD_S = 1.0


def latticectl(*arguments):
    said = subprocess.run([harness.BIN / "latticectl", "--json", *map(str, arguments)], capture_output=True, text=True,
                          timeout=harness.DEADLINE_S)
    return said.returncode, [json.loads(line) for line in said.stdout.splitlines()], said.stderr


class TheDaemonIsKilled(unittest.TestCase):
    def expect_a_recording(self, path, measured):
        status, (found,), _ = latticectl("verify", path)
        self.assertEqual((status, found["problems"]), (0, []))
        self.assertTrue(found["whole"] and found["recovered"])
        with h5py.File(path) as file:
            ids = list(file["entry/measurement/event1/frame_info/frame_id"])
            self.assertEqual(len(file["entry/measurement/event1/image1/stack_2d/real"]), len(ids))
            self.assertIn(b"its writer ended without completing it", file["entry/latticed/ended_by"][()])
        self.assertGreaterEqual(len(ids), measured)

    def run_and_kill(self, lab):
        """How many frames were measured when OLD_S were left to the daemon, and what it leaves."""
        lab.start_run()
        lab.wait_for_frames(20)
        measured = lab.status().detectors[0].measured
        time.sleep(OLD_S)
        lab.daemon.kill()
        lab.daemon.wait(harness.DEADLINE_S)
        part, = lab.recordings.glob("*.part")
        return measured, part

    def test_and_the_next_one_completes_its_recording(self):
        for profile in ("portable", "compact"):
            with self.subTest(profile=profile), \
                    harness.Lab(guard=False, record={"profile": profile}) as lab:
                measured, part = self.run_and_kill(lab)
                status, (found,), _ = latticectl("verify", part)
                self.assertEqual((status, found["complete"], found["damaged"]), (1, False, 0))
                lab.start_daemon()
                harness.wait_for(lambda: not list(lab.recordings.glob("*.part")), "the recording to be recovered")
                path, = lab.recordings.glob("*.nxs")
                self.assertEqual(path, part.with_suffix(""))
                self.expect_a_recording(path, measured)
                self.assertIn("recovered as", lab.log("daemon"))
                lab.start_run(frame_count=20)
                lab.wait_for_state("IDLE", "FAULT")
                self.assertEqual(lab.recorded()[0], list(range(20)))

    def test_and_people_complete_its_recording(self):
        with harness.Lab(guard=False) as lab:
            measured, part = self.run_and_kill(lab)
            status, (done,), _ = latticectl("recover", part)
            self.assertEqual((status, done["damaged"]), (0, 0))
            self.assertEqual(pathlib.Path(done["recovered"]), part.with_suffix(""))
            self.expect_a_recording(done["recovered"], measured)
            status, (packed,), _ = latticectl("repack", done["recovered"])
            self.assertEqual((status, pathlib.Path(packed["written"]).name), (0, part.with_suffix("").stem + "-archive.nxs"))
            self.assertLess(packed["bytes"], packed["bytes_before"])
            self.expect_a_recording(packed["written"], measured)
            status, (refused,), said = latticectl("recover", part)
            self.assertEqual(status, 1)
            self.assertIn(part.name, refused["error"])
            self.assertIn(part.name, said)
            lab.start_daemon()  # so that the lab can end

    def test_what_is_being_written_is_left_alone(self):
        with harness.Lab(guard=False) as lab:
            lab.start_run()
            lab.wait_for_frames(5)
            part, = lab.recordings.glob("*.part")
            status, (refused,), _ = latticectl("recover", part)
            self.assertEqual(status, 1)
            self.assertIn("being written", refused["error"])
            lab.client.call("Acquisition", "Stop")
            lab.wait_for_state("IDLE", "FAULT")
            status, (found,), _ = latticectl("verify", lab.recording()[0])
            self.assertEqual((status, found["problems"], found["recovered"]), (0, [], False))


if __name__ == "__main__":
    harness.main()
