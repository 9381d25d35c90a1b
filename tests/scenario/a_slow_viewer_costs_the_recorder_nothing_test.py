#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Viewers that take nothing at all, one of every kind, while a run is recorded: they miss what they miss, and are told;
the recording has every frame."""
import unittest

import harness

FRAMES = 2500


class Viewers:
    """A measurement stream, a preview, an alert stream and a ZeroMQ subscriber of everything; none of them is read."""

    def __init__(self, lab):
        self.measurements = lab.stalled_stream("Measurements", "Watch", holder_updates=True)
        self.previews = [lab.stalled_stream("Preview", "Watch", kind=f"IMAGE_KIND_{kind}", rate_hz=30,
                                            encoding="ENCODING_GRAY16", size=4096)
                         for kind in ("RAW", "RUNNING_MEAN", "FFT")]
        self.alerts = lab.stalled_stream("Alerts", "Watch")
        self.subscriber = lab.subscriber(hwm=1)
        # A ZeroMQ subscriber is known a moment after it connects: until its first message.
        asked = []

        def heard():
            asked.append(lab.client.call("Holder", "SetTemperature", holder="holder", who="Ada",
                                         temperature_k=300 + len(asked) % 2))
            return self.subscriber.receive(0.05)
        lab.client.call("Holder", "Arm", holder="holder", who="Ada")
        harness.wait_for(heard, "the first message by ZeroMQ")


class ASlowViewer(unittest.TestCase):
    def check_recorded(self, lab, frames):
        status = lab.wait_for_state("IDLE")
        self.assertEqual((status.ended, status.fault), ("completed", ""))
        self.assertEqual((status.detectors[0].measured, status.detectors[0].lost), (frames, 0))
        ids, lost, _ = lab.recorded()
        self.assertEqual((ids, lost), (list(range(frames)), []))
        edges = lab.edges()
        for name in ("source", "record", "alerts", "json"):
            self.assertEqual((edges["camera", name].dropped, sum(edges["camera", name].lost.values())), (0, 0), name)
        return edges

    def test_does_not_hold_up_a_detector_that_waits_for_free_slots(self):
        # As fast as frames are measured, with fewer slots than a viewer could keep: were one of them waited for, the
        # run would stand still.
        scenario = harness.small_scenario(frames=FRAMES, size=64)
        with harness.Lab(scenario, speed=0, serve={"zmq_high_water_mark": 4}) as lab:
            viewers = Viewers(lab)
            lab.start_run()
            edges = self.check_recorded(lab, FRAMES)
            stream, = lab.subscribers().values()
            self.assertGreater(stream.dropped, 0, "the viewer was slow")

            # It reads on: in order, and whatever it missed is counted.
            seen = viewers.measurements.until(lambda event: event.HasField("run_ends"))
            order = [event.measurement.seq for event in seen if event.HasField("measurement")]
            self.assertEqual(order, sorted(set(order)))
            self.assertGreater(seen[-1].skipped, 0)
            # The run's begin and end, and every frame with its holder update; a frame the publisher had no time for is
            # one that was missed.
            self.assertEqual(len(seen) + seen[-1].skipped, 2 + 2 * FRAMES - edges["camera", "publish"].dropped)
            self.assertEqual(seen[-1].run_ends.measured, FRAMES)

    def test_costs_no_frame_of_a_detector_that_does_not_wait(self):
        scenario = harness.small_scenario(frames=200, size=64)
        with harness.Lab(scenario, speed=1, detector={"frame_slots": 64},
                         serve={"zmq_high_water_mark": 4, "frame_lease_quota": 2}) as lab:
            Viewers(lab)
            configured, = lab.configure().detectors
            self.assertTrue(configured.paced)
            lab.client.call("Acquisition", "Arm")
            lab.client.call("Acquisition", "Start")
            self.check_recorded(lab, 200)

    def test_that_looks_at_pictures_gets_the_newest_and_is_told_what_it_missed(self):
        with harness.Lab(harness.small_scenario(size=256), speed=1) as lab:
            viewer = lab.stalled_stream("Preview", "Watch", kind="IMAGE_KIND_RAW", encoding="ENCODING_GRAY16", size=256,
                                        rate_hz=30)
            lab.start_run()
            first = viewer.first()
            lab.wait_for_frames(first.seq + 100)
            # What was under way when it stopped looking comes first; then one that is new.
            seen = viewer.until(lambda image: image.skipped > 0)
            self.assertLess(len(seen), 10)
            fresh = viewer.first()
            self.assertGreaterEqual(fresh.seq, first.seq + 100)


if __name__ == "__main__":
    harness.main()
