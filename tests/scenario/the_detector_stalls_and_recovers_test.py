#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A detector that pauses loses frames, which are listed, and goes on; one that stalls for longer than it may ends its run
in FAULT, which names it, with everything before recorded, and the next run works."""
import unittest

import h5py

import harness

SERVING, NOT_SERVING = 1, 2


def stall(seconds):
    return f'[[fault]]\nframe = 30\nkind = "stall"\nseconds = {seconds}'


class AStall(unittest.TestCase):
    def test_that_is_short_costs_frames_that_are_listed(self):
        with harness.Lab(harness.small_scenario(frames=80, more=stall(1.0))) as lab:
            lab.start_run()
            status = lab.wait_for_state("IDLE", "FAULT")
            self.assertEqual((lab.state(status), status.ended), ("IDLE", "completed"), status.fault)
            camera, = status.detectors
            frames, _ = lab.truth()
            self.assertEqual(camera.measured + camera.lost, 80)
            # A busy machine may cost the daemon frames too; what the detector lost is told apart.
            lost = dict(lab.edges()["camera", "source"].lost)
            self.assertEqual(sum(lost.values()), camera.lost)
            self.assertEqual(lost.get("detector_overrun", 0), sum(frame["lost"] is not None for frame in frames), lost)

    def test_that_is_long_ends_the_run_and_the_next_one_works(self):
        with harness.Lab(harness.small_scenario(more=stall(600.0)), guard=False) as lab:
            lab.start_run()
            status = lab.wait_for_state("FAULT")
            self.assertRegex(status.fault, "camera.*source")
            self.assertEqual(status.ended, "failed")
            camera, = status.detectors
            self.assertEqual(camera.measured + camera.lost, 30)
            detector, = lab.client.call("Acquisition", "ListDetectors").detectors
            self.assertEqual(detector.state, "fault")
            health = lambda part: lab.client.call("grpc.health.v1.Health", "Check", service=part).status
            self.assertEqual(health("latticed.v1.Acquisition"), NOT_SERVING)
            self.assertEqual(health(""), NOT_SERVING)
            with h5py.File(lab.recording()[0]) as file:
                recorded = list(file["entry/measurement/event1/frame_info/frame_id"])
                self.assertEqual((len(recorded), recorded), (camera.measured, sorted(set(recorded))))
            lab.start_run(frame_count=20)
            status = lab.wait_for_state("IDLE", "FAULT")
            self.assertEqual((lab.state(status), status.ended, status.fault), ("IDLE", "completed", ""))
            self.assertEqual(status.detectors[0].measured, 20)
            self.assertEqual(health(""), SERVING)


if __name__ == "__main__":
    harness.main()
