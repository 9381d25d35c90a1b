#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client's process is killed while everything streams to it, or it hangs: its subscribers disappear from the counters,
and nobody else notices."""
import pathlib
import signal
import sys
import unittest

import harness

VIEWER = pathlib.Path(__file__).with_name("viewer.py")


class AClientThatVanishes(unittest.TestCase):
    def watch(self, lab):
        """A viewer in a process of its own that sees frames."""
        viewer = lab.start("viewer", sys.executable, VIEWER, lab.grpc, lab.zmq)

        def watching():
            self.assertIsNone(viewer.poll(), lab.log("viewer"))
            return "watching" in (lab.folder / "viewer.out").read_text()
        harness.wait_for(watching, "the viewer sees frames")
        return viewer

    def check(self, end_of_viewer):
        with harness.Lab(harness.small_scenario(size=64), speed=0.5, detector={"frame_slots": 64}) as lab:
            measurements = lab.client.stream("Measurements", "Watch").accepted().gather()
            lab.start_run()
            mine = set(lab.subscribers())
            self.assertEqual(len(mine), 1)
            viewer = self.watch(lab)
            streams = {name for (_, name) in lab.edges() if " ipv4:" in name}
            self.assertEqual(len(streams - mine), 3, f"its measurements, alerts and pictures: {streams}")

            end_of_viewer(viewer)
            harness.wait_for(lambda: {name for (_, name) in lab.edges() if " ipv4:" in name} == mine,
                             "its subscribers disappear")
            after = lab.status().detectors[0].measured
            lab.wait_for_frames(after + 20)
            lab.client.call("Acquisition", "Stop")
            events = measurements.wait_for(lambda event: event.HasField("run_ends")) and measurements.end()
            seen = [event.measurement.seq for event in events if event.HasField("measurement")]
            measured = events[-1].run_ends.measured
            ids, lost, _ = lab.recorded()
            self.assertEqual((ids, lost), (list(range(measured)), []))
            # What a busy machine left the publisher no time for is said, and nothing else is missing.
            self.assertEqual(seen, sorted(set(seen)))
            self.assertEqual(len(seen) + events[-1].skipped, measured)
            self.assertEqual(events[-1].skipped, lab.edges()["camera", "publish"].dropped)
            self.assertLess(events[-1].skipped, measured // 10)
            return viewer

    def test_is_forgotten_when_it_is_killed(self):
        viewer = self.check(lambda viewer: viewer.send_signal(signal.SIGKILL))
        self.assertEqual(viewer.returncode, -signal.SIGKILL)

    def test_is_cut_off_when_it_hangs(self):
        # Its kernel still takes and acknowledges what comes, for a while; its gRPC answers no more.
        self.check(lambda viewer: viewer.send_signal(signal.SIGSTOP))

    def test_can_come_back(self):
        with harness.Lab(harness.small_scenario(size=64)) as lab:
            lab.start_run()
            self.watch(lab).kill()
            again = self.watch(lab)
            self.assertIsNone(again.poll())
            self.assertEqual(lab.state(lab.status()), "RUNNING")


if __name__ == "__main__":
    harness.main()
