#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A detector that closes its link in the middle of a run ends it in FAULT with every frame before recorded; the holder
notices nothing, and the next run opens the detector again."""
import unittest

import h5py

import harness

CLOSE = '[[fault]]\nframe = 40\nkind = "close"'


class ADetectorClosesItsLink(unittest.TestCase):
    def test_and_the_run_before_it_is_kept(self):
        with harness.Lab(harness.small_scenario(more=CLOSE)) as lab:
            armed = lab.client.api.enum("ArmingState")["ARMING_STATE_ARMED"]
            lab.client.call("Holder", "Arm", who="Ada")
            for _ in range(2):  # again and again, and nothing is left open between
                lab.start_run()
                status = lab.wait_for_state("FAULT")
                self.assertIn("camera", status.fault)
                camera, = status.detectors
                self.assertEqual(camera.measured + camera.lost, 40)
                with h5py.File(lab.recording()[0]) as file:
                    self.assertEqual(len(file["entry/measurement/event1/frame_info/frame_id"]), camera.measured)
            self.assertEqual(lab.holder().arming, armed)
            lab.start_run(frame_count=20)
            status = lab.wait_for_state("IDLE", "FAULT")
            self.assertEqual((lab.state(status), status.ended, status.detectors[0].measured), ("IDLE", "completed", 20))


if __name__ == "__main__":
    harness.main()
