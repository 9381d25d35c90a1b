#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGTERM and SIGINT: whatever goes on, the run is drained, its recording is complete, clients are told, and the daemon
has ended within five seconds."""
import signal
import unittest

import grpc
import h5py
import numpy

import harness


class SigtermDrainsWithinFiveSeconds(unittest.TestCase):
    def end(self, lab, how=signal.SIGTERM):
        status, seconds = lab.stop(how=how)
        self.assertLess(seconds, harness.PROMISED_END_S)
        self.assertEqual(status, 0, "it was drained, not given up")

    def check_recording(self, lab, at_least):
        """The one file there is: complete."""
        file, = lab.recordings.iterdir()
        self.assertEqual(file.suffix, ".nxs")
        with h5py.File(file) as recording:
            event1 = recording["entry/measurement/event1"]
            ids = event1["frame_info/frame_id"][:]
            images = event1["image1/stack_2d/real"]
            self.assertGreaterEqual(len(ids), at_least)
            numpy.testing.assert_array_equal(ids, numpy.arange(len(ids)))
            self.assertEqual(images.shape[0], len(ids))
            self.assertTrue(images[-1].any(), "the last image is there")
            self.assertEqual(int(recording["entry/latticed/images"][()]), len(ids))
            self.assertEqual(recording["entry/latticed/ended_by"][()].decode(), "end of the run")
            self.assertTrue(recording["entry/end_time"][()].decode().startswith("20"))
        return len(ids)

    def test_when_idle(self):
        for how in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(how.name), harness.Lab() as lab:
                self.end(lab, how)
                self.assertNotRegex(lab.log("daemon"), " (warning|error) ", "a first start has nothing to complain of")

    def test_when_configured_or_armed(self):
        for last in ("Configure", "Arm"):
            with self.subTest(last), harness.Lab() as lab:
                lab.configure()
                if last == "Arm":
                    lab.client.call("Acquisition", "Arm")
                self.end(lab)

    def test_in_a_run(self):
        for how in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(how.name), harness.Lab(harness.small_scenario()) as lab:
                lab.start_run()
                lab.wait_for_frames(20)
                self.end(lab, how)
                self.check_recording(lab, 20)

    def test_in_a_run_without_a_pause_between_frames(self):
        with harness.Lab(harness.small_scenario(size=256), speed=0) as lab:
            lab.start_run()
            lab.wait_for_frames(200)
            self.end(lab)
            self.check_recording(lab, 200)

    def test_when_the_world_stands_still(self):
        more = '[[fault]]\nframe = 10\nkind = "stall"\nseconds = 600.0'
        with harness.Lab(harness.small_scenario(more=more)) as lab:
            lab.start_run()
            lab.wait_for_frames(10)
            self.end(lab)
            self.check_recording(lab, 10)

    def test_and_clients_are_told(self):
        with harness.Lab(harness.small_scenario(), speed=0.5) as lab:
            client = lab.client
            measurements = client.stream("Measurements", "Watch", holder_updates=True).accepted().gather()
            others = [client.stream(service, "Watch", **fields).accepted().gather() for service, fields in (
                ("Alerts", {}), ("Holder", {}), ("Preview", {"kind": "IMAGE_KIND_FFT"}))]
            others.append(client.stream("Acquisition", "WatchStatus").accepted().gather())
            subscriber = lab.subscriber("measurement.camera/").gather()
            lab.start_run()
            subscriber.wait_for(lambda message: True, "a measurement by ZeroMQ")
            lab.wait_for_frames(20)
            self.end(lab)
            frames = self.check_recording(lab, 20)
            for stream in (measurements, *others):
                with self.assertRaises(harness.Refused) as told:
                    stream.join()
                self.assertEqual(told.exception.code, grpc.StatusCode.UNAVAILABLE)
                self.assertIn("the server", told.exception.message)
            events = measurements.messages
            self.assertEqual((events[-1].run_ends.ended, events[-1].run_ends.measured), ("stopped", frames))
            self.assertEqual([event.measurement.seq for event in events if event.HasField("measurement")],
                             list(range(frames)))
            parse = client.api.message("MeasurementEvent").FromString
            subscriber.wait_for(lambda message: parse(message.body).HasField("run_ends"), "the run's end by ZeroMQ")

    def test_with_stalled_subscribers(self):
        # Fifteen hundred frames: more than a stalled stream's queue and connection hold.
        with harness.Lab(harness.small_scenario(), speed=0) as lab:
            stalled = [lab.stalled_stream("Measurements", "Watch", holder_updates=True) for _ in range(3)]
            stalled.append(lab.stalled_stream("Preview", "Watch", kind="IMAGE_KIND_RAW", rate_hz=30,
                                              encoding="ENCODING_GRAY16"))
            subscriber = lab.subscriber(hwm=1)  # never read
            lab.start_run()
            lab.wait_for_frames(1500)
            for edge in lab.subscribers().values():
                self.assertGreater(edge.dropped, 0)
            self.end(lab)
            self.check_recording(lab, 1500)
            for stream in stalled:
                with self.assertRaises(harness.Refused) as told:
                    list(stream)
                # Who does not take what waits for it is cut off.
                self.assertIn(told.exception.code, (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED))
            subscriber.close()

    def test_and_it_can_be_started_again_in_the_same_place(self):
        with harness.Lab(harness.small_scenario()) as lab:
            for files in (1, 2):
                lab.start_run()
                lab.wait_for_frames(5)
                self.end(lab)
                self.assertEqual([file.suffix for file in lab.recordings.iterdir()], [".nxs"] * files)
                lab.start_daemon()


if __name__ == "__main__":
    harness.main()
