#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detector and holder die with their process in the middle of a run: every frame that was delivered is recorded in a
complete file, and when they are back the next run works without a new daemon."""
import unittest

import h5py

import harness


class TheWorldIsKilled(unittest.TestCase):
    def expect_fault(self, lab):
        status = lab.wait_for_state("FAULT")
        self.assertIn("camera", status.fault)
        self.assertEqual(status.ended, "failed")
        path, = lab.recording()
        self.assertEqual(path.suffix, ".nxs", "complete under its own name")
        self.assertEqual(status.recording.error, "")
        with h5py.File(path) as file:
            recorded = list(file["entry/measurement/event1/frame_info/frame_id"])
            self.assertEqual(len(recorded), status.detectors[0].measured)
            self.assertEqual(len(file["entry/measurement/event1/image1/stack_2d/real"]), len(recorded))
            lost = [range(row["seq"], row["seq"] + row["count"]) for row in file["entry/measurement/event1/lost/frames"]]
        missing = [seq for gap in lost for seq in gap]
        self.assertEqual(sorted(map(int, [*recorded, *missing])), list(range(len(recorded) + len(missing))))
        return status

    def expect_a_run(self, lab):
        lab.start_run(frame_count=20)
        status = lab.wait_for_state("IDLE", "FAULT")
        self.assertEqual((lab.state(status), status.ended, status.detectors[0].measured), ("IDLE", "completed", 20))

    def test_from_outside(self):
        with harness.Lab(harness.small_scenario()) as lab:
            arming = lab.client.api.enum("ArmingState")
            lab.start_run()
            lab.wait_for_frames(30)
            lab.world.kill()
            lab.world.wait()
            status = self.expect_fault(lab)
            self.assertGreaterEqual(status.detectors[0].measured, 30)
            lab.wait_for_holder(lambda h: h.arming == arming["ARMING_STATE_UNREACHABLE"])
            self.assertTrue(lab.status().guard_reachable, "the guard is well")
            refused = lab.client.refused("Acquisition", "Configure")
            self.assertIn("camera", refused.message)
            self.assertEqual(lab.state(lab.status()), "FAULT")
            lab.start_world()
            lab.wait_for_holder(lambda h: h.arming not in (arming["ARMING_STATE_UNREACHABLE"],
                                                           arming["ARMING_STATE_ARMED"]))
            self.expect_a_run(lab)

    def test_by_itself_at_a_certain_frame(self):
        fault = '[[fault]]\nframe = 40\nkind = "exit"'
        with harness.Lab(harness.small_scenario(more=fault), guard=False) as lab:
            lab.start_run()
            status = self.expect_fault(lab)
            self.assertEqual(status.detectors[0].measured + status.detectors[0].lost, 40)
            lab.world.wait(harness.DEADLINE_S)
            lab.start_world()
            self.expect_a_run(lab)


if __name__ == "__main__":
    harness.main()
