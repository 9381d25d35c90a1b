#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dark and gain references are taken by a client, dated, stored, used by the next run, which measures without the sensor's
pattern, and still in use after the daemon was started anew; what would make a wrong one is refused."""
import concurrent.futures
import pathlib
import time
import unittest

import harness
from world_link import ask

DARK_ADU, HOT_PIXELS, FRAMES = 500.0, 12, 16
# A sensor with much of its own to see, and a lattice that hardly stands out.
SCENARIO = f"""
name = "references"
frame_period_s = 0.02
[[detector]]
name = "camera"
width = 128
height = 128
pixel_size_nm = 0.05
dark_adu = {DARK_ADU}
dark_pattern_adu = 40
hot_pixels = {HOT_PIXELS}
hot_adu = 6000
gain_pattern_percent = 3
[specimen]
field = "lattice"
"""


class References(unittest.TestCase):
    def blank(self, lab, is_blanked):
        ask(lab, "set", beam_on=not is_blanked)

    def take(self, lab, kind, how="call"):
        return getattr(lab.client, how)("Acquisition", "AcquireReference", kind=f"REFERENCE_KIND_{kind}",
                                        frame_count=FRAMES)

    def measured(self, lab):
        """The measurements of a run of 30 frames."""
        events = lab.client.stream("Measurements", "Watch").accepted().gather()
        lab.start_run(frame_count=30)
        status = lab.wait_for_state("IDLE", "FAULT")
        self.assertEqual((status.ended, status.fault), ("completed", ""))
        events.wait_for(lambda e: e.HasField("run_ends"), "the run's end")
        return [e.measurement for e in events.end() if e.HasField("measurement")]

    def in_use(self, lab):
        listed = lab.client.call("Acquisition", "ListReferences").references
        kinds = {number: name for name, number in lab.client.api.enum("ReferenceKind").items()}
        return {kinds[r.kind].removeprefix("REFERENCE_KIND_"): r.file for r in listed if r.in_use}

    def test_are_taken_and_used(self):
        with harness.Lab(SCENARIO, guard=False) as lab:
            client = lab.client
            raw = self.measured(lab)
            refused = self.take(lab, "GAIN", "refused")
            self.assertEqual(refused.reason, "WRONG_STATE")
            self.assertIn("dark", refused.message)
            self.assertEqual(self.take(lab, "UNSPECIFIED", "refused").reason, "INVALID_VALUE")
            self.assertEqual(client.refused("Acquisition", "AcquireReference", kind="REFERENCE_KIND_DARK",
                                            frame_count=10**9).reason, "ABOVE_LIMIT")
            self.assertEqual(client.refused("Acquisition", "AcquireReference", kind="REFERENCE_KIND_DARK",
                                            detector="no").reason, "NOT_FOUND")

            self.blank(lab, True)
            before_ns = time.time_ns()
            dark = self.take(lab, "DARK").reference
            self.assertTrue(before_ns <= dark.time_ns <= time.time_ns())
            self.assertEqual((dark.detector, dark.frame_count, dark.in_use), ("camera", FRAMES, True))
            self.assertAlmostEqual(dark.mean, DARK_ADU, delta=0.05 * DARK_ADU)
            self.assertEqual(len(dark.hot_pixels), HOT_PIXELS)
            self.assertTrue(pathlib.Path(dark.file).is_file())
            self.assertRegex(pathlib.Path(dark.file).name, r"^camera-dark-\d{8}T\d{6}Z\.tif$")
            self.blank(lab, True)  # each start begins the world's experiment anew
            refused = self.take(lab, "GAIN", "refused")
            self.assertEqual(refused.reason, "WRONG_STATE")
            self.assertIn("blanked", refused.message)

            self.blank(lab, False)
            corrected = self.measured(lab)
            mean = lambda values: sum(values) / len(values)
            self.assertAlmostEqual(mean([m.mean_counts for m in raw]) - mean([m.mean_counts for m in corrected]),
                                   DARK_ADU, delta=0.1 * DARK_ADU)
            self.assertGreater(mean([m.crystallinity for m in corrected if m.HasField("crystallinity")]),
                               mean([m.crystallinity for m in raw if m.HasField("crystallinity")]))

            gain = self.take(lab, "GAIN").reference
            self.assertAlmostEqual(gain.mean, 1.0, delta=0.05)
            self.assertEqual(self.in_use(lab), {"DARK": dark.file, "GAIN": gain.file})
            self.measured(lab)
            client.call("Acquisition", "UseReference", kind="REFERENCE_KIND_GAIN", file="")
            self.assertEqual(client.refused("Acquisition", "UseReference", kind="REFERENCE_KIND_GAIN",
                                            file=dark.file).reason, "NOT_FOUND")
            self.assertEqual(self.in_use(lab), {"DARK": dark.file})

            self.assertEqual(lab.stop()[0], 0)
            lab.start_daemon()
            self.assertEqual(self.in_use(lab), {"DARK": dark.file})
            listed = lab.client.call("Acquisition", "ListReferences").references
            self.assertEqual([r.file for r in listed], [gain.file, dark.file], "newest first")
            self.assertEqual([(p.x, p.y) for p in listed[1].hot_pixels], [(p.x, p.y) for p in dark.hot_pixels])
            again = self.measured(lab)
            self.assertAlmostEqual(mean([m.mean_counts for m in again]), mean([m.mean_counts for m in corrected]),
                                   delta=0.02 * DARK_ADU)

    def test_are_for_the_run_that_is_armed_next_also_when_it_is_configured_already(self):
        with harness.Lab(SCENARIO, guard=False) as lab:
            self.blank(lab, True)
            dark = self.take(lab, "DARK").reference
            lab.client.call("Acquisition", "UseReference", kind="REFERENCE_KIND_DARK", file="")
            self.blank(lab, False)
            lab.configure(frame_count=10)
            lab.client.call("Acquisition", "UseReference", kind="REFERENCE_KIND_DARK", file=dark.file)
            events = lab.client.stream("Measurements", "Watch").accepted().gather()
            lab.client.call("Acquisition", "Arm")
            lab.client.call("Acquisition", "Start")
            first = events.wait_for(lambda e: e.HasField("measurement"), "a frame").measurement
            lab.wait_for_state("IDLE")
            lab.client.call("Acquisition", "UseReference", kind="REFERENCE_KIND_DARK", file="")
            raw = self.measured(lab)[0]
            self.assertAlmostEqual(raw.mean_counts - first.mean_counts, DARK_ADU, delta=0.1 * DARK_ADU)

    def test_end_with_a_stop_and_are_no_run(self):
        with harness.Lab(SCENARIO, guard=False) as lab, concurrent.futures.ThreadPoolExecutor() as pool:
            lab.start_run(frame_count=3)
            lab.wait_for_state("IDLE")
            for verb in ("Stop", "Cancel", "Abort"):
                with self.subTest(verb):
                    taker = lab.new_client()
                    states = lab.client.stream("Acquisition", "WatchStatus").accepted()
                    taking = pool.submit(taker.refused, "Acquisition", "AcquireReference",
                                         kind="REFERENCE_KIND_DARK", frame_count=100000)
                    states.first(lambda s: lab.state(s) == "RUNNING")
                    self.assertEqual(lab.client.refused("Track", "Reset").reason, "WRONG_STATE")
                    tag = lab.client.call("Session", "AddTag", text="blanking", who="Ada").tag
                    self.assertEqual((tag.epoch, len(tag.begin_seq)), (0, 0))
                    reply = lab.client.call("Acquisition", verb)
                    self.assertEqual(lab.state(reply), "IDLE")
                    self.assertEqual(taking.result(harness.DEADLINE_S).reason, "CANCELLED")
                    states.cancel()
            self.assertEqual(lab.status().stamp.epoch, 1)
            self.assertEqual(len(lab.client.call("Acquisition", "ListReferences").references), 0)


if __name__ == "__main__":
    harness.main()
