#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""At a dose at which single frames show nothing, rules about the running sum name its spots and its lattice: from the
configuration, over gRPC and by latticectl; in the stream, the list, the recording. A rule that has no meaning of sums is
refused."""
import json
import pathlib
import re
import subprocess
import unittest

import h5py

import harness

K = 8
LOW_DOSE = (pathlib.Path(__file__).parents[2] / "sim/scenarios/low_dose.toml").read_text()
RULES = """
[[rule]]
name = "seen_in_frames"
quantity = "spot_snr"
kind = "limit"
above = 15.0

[[rule]]
name = "seen_in_sums"
quantity = "spot_snr"
of = "sum"
kind = "limit"
above = 15.0
dwell_frames = 2
"""


def limit(name, quantity, **fields):
    return {"name": name, "quantity": quantity, "of": "sum", "kind": "limit", **fields}


class RulesWatchTheRunningSum(unittest.TestCase):
    def setUp(self):
        scenario = re.sub(r"dose_e_per_px = [\d.]+", "dose_e_per_px = 0.5", LOW_DOSE)
        self.lab = self.enterContext(harness.Lab(
            scenario, guard=False, speed=4, detectors=(re.search(r'name = "(\w+)"\nwidth', LOW_DOSE)[1],), more=f"[detector.sum]\nframes = {K}\nwhen = \"always\"\n{RULES}"))
        self.client = self.lab.client

    def ctl(self, *arguments, status=0):
        done = subprocess.run([harness.BIN / "latticectl", "--server", self.lab.grpc, *map(str, arguments)],
                              capture_output=True, text=True, timeout=harness.DEADLINE_S)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def alert(self, rule):
        """The first one of this rule."""
        return harness.wait_for(lambda: next((a for a in reversed(self.client.call("Alerts", "List").alerts)
                                              if a.rule == rule), None), f"an alert of {rule}")

    def test_a_spot_of_the_sum_raises_an_alert(self):
        self.assertEqual([rule.of for rule in self.client.call("Alerts", "GetRules").rules], ["frame", "sum"])
        events = self.client.stream("Measurements", "Watch").accepted().gather()
        self.lab.start_run()
        alert = self.alert("seen_in_sums")
        self.assertEqual((alert.of, alert.quantity, alert.unit), ("sum", "spot_snr", "1"))
        self.assertGreater(alert.value, 15.0)
        self.assertLess(alert.since_seq, alert.raised_seq - K // 2)  # the frame in the middle of the first of two
        told = events.wait_for(lambda e: e.HasField("measurement") and e.measurement.seq == alert.raised_seq,
                               "the frame that raised it").measurement
        change = next(change for change in told.alerts if change.rule == "seen_in_sums" and change.spot_id == alert.spot_id)
        self.assertEqual((change.of, change.raised), ("sum", True))
        spot = next(spot for spot in told.sum.spots if spot.id == alert.spot_id)
        self.assertAlmostEqual(spot.snr, alert.value)
        self.assertTrue(spot.confirmed)
        events.end()
        # Single frames show nothing so plain.
        self.assertEqual([a for a in self.client.call("Alerts", "List").alerts if a.rule == "seen_in_frames"], [])
        self.client.call("Acquisition", "Stop")
        with h5py.File(self.lab.recording()[0]) as file:
            rows = [row for row in file["entry/events"][:] if row["kind"] == b"alert"]
            summed = file["entry/processing/running_sum/found"]
            self.assertGreater(len(summed["lattices"]), 0)
            self.assertTrue(set(summed["lattices"]["seq"]) <= set(summed["sums"]["seq"]))
        text = json.loads(next(row["text"] for row in rows if row["frame_first"] == alert.raised_seq).decode())
        self.assertEqual((text["of"], text["state"]), ("sum", "raised"))

    def test_rules_about_sums_are_set_while_it_runs(self):
        self.lab.start_run()
        self.alert("seen_in_sums")
        made = self.client.call("Alerts", "SetRules", rules=[limit("cell", "lattice_a_nm", above=0.01),
                                                             limit("counts", "mean_counts", above=0.01)])
        self.assertEqual([rule.of for rule in made.rules], ["sum", "sum"])
        cell, counts = self.alert("cell"), self.alert("counts")
        self.assertEqual((cell.of, cell.unit, cell.spot_id), ("sum", "nm", 0))
        self.assertTrue(0.05 < cell.value < 2.0, cell.value)
        self.assertGreater(cell.sigma, 0.0)
        self.assertTrue(0.01 < counts.value, counts.value)

    def test_a_file_of_rules_goes_to_and_fro(self):
        wanted = self.lab.folder / "rules.toml"
        wanted.write_text(RULES)
        self.ctl("rules", "set", wanted)
        text = self.ctl("rules", "get")
        self.assertEqual(text.count('of = "sum"'), 1)
        back = self.lab.folder / "back.toml"
        back.write_text(text)
        self.ctl("rules", "set", back)
        self.assertEqual(self.ctl("rules", "get"), text)

    def test_what_has_no_meaning_of_sums_is_refused(self):
        for rule, words in ((limit("drift", "drift_x_px", above=1.0), "no meaning for quantity drift_x_px"),
                            ({**limit("r", "spot_snr", above=1.0), "of": "movie"}, "expected frame or sum")):
            refused = self.client.refused("Alerts", "SetRules", rules=[rule])
            self.assertEqual(refused.reason, "INVALID_VALUE")
            self.assertIn(words, str(refused))
        self.assertEqual(len(self.client.call("Alerts", "GetRules").rules), 2)


if __name__ == "__main__":
    unittest.main()
