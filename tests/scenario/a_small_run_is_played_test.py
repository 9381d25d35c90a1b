#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shortest whole-daemon scenario: configure, arm, start, and everything comes to an end by itself."""
import unittest

import harness


class ASmallRun(unittest.TestCase):
    def test_is_measured_and_recorded_to_its_end(self):
        with harness.Lab(harness.small_scenario(frames=30), speed=0) as lab:
            lab.start_run()
            status = lab.wait_for_state("IDLE")
            self.assertEqual((status.ended, status.fault), ("completed", ""))
            self.assertEqual((status.detectors[0].measured, status.detectors[0].lost), (30, 0))
            self.assertEqual(status.recording.frames, 30)
            self.assertEqual([file.suffix for file in lab.recording()], [".nxs"])
            self.assertTrue(lab.recording()[0].exists())
            frames, _ = lab.truth()
            self.assertEqual(len(frames), 30)
            status, seconds = lab.stop()
            self.assertEqual(status, 0)
            self.assertLess(seconds, harness.PROMISED_END_S)

    def test_a_second_one_follows_the_first(self):
        with harness.Lab(harness.small_scenario(frames=10), speed=0) as lab:
            for epoch in (1, 2):
                lab.start_run()
                status = lab.wait_for_state("IDLE")
                self.assertEqual((status.stamp.epoch, status.ended), (epoch, "completed"))


if __name__ == "__main__":
    harness.main()
