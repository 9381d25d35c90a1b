#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules and what is tracked are changed while frames flow: each change names the first frame it holds for, that frame's
measurement and the recording say it too, and a request with a mistake in it changes nothing at all."""
import signal
import unittest

import h5py

import harness

NAN = float("nan")


def limit(name, **fields):
    return {"name": name, "quantity": "mean_counts", "kind": "limit", **fields}


class ChangesWhileItRuns(unittest.TestCase):
    def setUp(self):
        lab = harness.Lab(harness.small_scenario(size=256), guard=False)
        self.lab = self.enterContext(lab)
        self.client = self.lab.client
        self.events = self.client.stream("Measurements", "Watch").accepted().gather()

    def tearDown(self):
        self.events.end()

    def frame(self, seq):
        return self.events.wait_for(lambda e: e.HasField("measurement") and e.measurement.seq == seq,
                                    f"frame {seq}").measurement

    def after(self, seq, condition, what):
        return self.events.wait_for(lambda e: e.HasField("measurement") and e.measurement.seq >= seq
                                    and condition(e.measurement), what).measurement

    def start(self):
        self.lab.start_run()
        self.after(20, lambda m: any(spot.confirmed for spot in m.spots), "a frame with spots")

    def recorded(self):
        """{first frame: text} of the parameter changes."""
        status = self.client.call("Acquisition", "Stop")
        self.assertEqual(status.ended, "stopped")
        with h5py.File(self.lab.recording()[0]) as file:
            rows = [row for row in file["entry/events"][:] if row["kind"] == b"parameter"]
        return {int(row["frame_first"]): row["text"].decode() for row in rows}

    def test_rules(self):
        names = lambda reply: [rule.name for rule in reply.rules]
        without_run = self.client.call("Alerts", "SetRules", rules=[limit("early", above=1e9)])
        self.assertEqual((names(without_run), len(without_run.from_seq)), (["early"], 0))
        too_many = [limit(f"r{i}", above=1.0) for i in range(1025)]
        self.assertEqual(self.client.refused("Alerts", "SetRules", rules=too_many).reason, "INVALID_VALUE")
        self.start()
        made = self.client.call("Alerts", "SetRules", rules=[limit("bright", above=1.0), limit("dim", below=0.0)])
        from_seq = made.from_seq["camera"]
        self.assertEqual(names(made), ["bright", "dim"])
        self.assertEqual(len(self.frame(from_seq).changes), 1)
        self.assertEqual(self.frame(from_seq - 1).changes, [])
        raised = self.after(0, lambda m: m.alerts, "an alarm")
        self.assertGreaterEqual(raised.seq, from_seq)
        self.assertEqual([(a.rule, a.raised) for a in raised.alerts], [("bright", True)])

        for mistake in ([limit("bright")], [limit("", above=1.0)], [limit("a b", above=1.0)], [limit("x", above=NAN)],
                        [limit("x", above=1.0), limit("x", above=2.0)], [limit("x", above=1.0, hysteresis=-1.0)],
                        [{"name": "x", "quantity": "nothing", "kind": "limit", "above": 1.0}],
                        [{"name": "x", "quantity": "mean_counts", "kind": "sometimes", "above": 1.0}],
                        [limit("good", above=1.0), limit("x", above=1.0, dwell_frames=-3)],
                        [limit(f"r{i}", above=1.0) for i in range(1025)]):
            with self.subTest(rules=str(mistake)[:80]):
                why = self.client.refused("Alerts", "SetRules", rules=mistake)
                self.assertIn(why.reason, ("INVALID_VALUE", "NO_SPACE", "ABOVE_LIMIT", "NOT_FINITE", "TOO_MANY"), why)
                self.assertEqual(names(self.client.call("Alerts", "GetRules")), ["bright", "dim"])

        gone = self.client.call("Alerts", "SetRules", rules=[]).from_seq["camera"]
        cleared = self.after(gone, lambda m: m.alerts, "the alarm cleared")
        self.assertEqual([(a.rule, a.raised) for a in cleared.alerts], [("bright", False)])
        changed = {e.measurement.seq for e in self.events.messages if e.measurement.changes}
        self.assertEqual(changed, {from_seq, gone})
        recorded = self.recorded()
        self.assertIn("bright", recorded[from_seq])
        self.assertIn(gone, recorded)

    def test_tracking(self):
        lab, client = self.lab, self.client
        for method, fields in (("SetReference", {}), ("Reset", {}), ("WatchSpot", {"g_per_nm": {"x": 1.0, "y": 0.0}}),
                               ("ForgetSpot", {"spot_id": 1})):
            self.assertEqual(client.refused("Track", method, **fields).reason, "WRONG_STATE", f"{method} needs a run")
        self.start()
        changes = {}

        def change(method, **fields):
            reply = client.call("Track", method, **fields)
            self.assertTrue(reply.HasField("from_seq"))
            changes[reply.from_seq] = method
            self.assertEqual(len(self.frame(reply.from_seq).changes), 1, method)
            return reply

        change("SetReference")
        spot = next(s for s in self.after(20, lambda m: m.spots, "spots").spots if s.confirmed)
        # No tolerance: three resolution cells, as the API says.
        watched = change("WatchSpot", g_per_nm={"x": spot.g_per_nm.x, "y": spot.g_per_nm.y})
        self.assertEqual([(round(g.x, 6), round(g.y, 6)) for g in watched.watched],
                         [(round(spot.g_per_nm.x, 6), round(spot.g_per_nm.y, 6))])
        # Where there is nothing: it is reported all the same, in every good frame.
        nothing = {"x": 1.7, "y": 1.9}
        both = change("WatchSpot", g_per_nm=nothing, tolerance_per_nm=0.2)
        self.assertEqual(len(both.watched), 2)
        near = lambda s: abs(s.g_per_nm.x - nothing["x"]) < 0.3 and abs(s.g_per_nm.y - nothing["y"]) < 0.3
        seen = self.frame(both.from_seq + 3)
        self.assertTrue(any(near(s) for s in seen.spots), [(s.g_per_nm.x, s.g_per_nm.y) for s in seen.spots])
        faint = next(s for s in seen.spots if near(s))
        self.assertEqual(len(change("ForgetSpot", spot_id=faint.id).watched), 1)
        self.assertEqual(len(change("ForgetSpot").watched), 0, "0 = all")
        for method, fields, reasons in (
                ("ForgetSpot", {"spot_id": 4711}, ("NOT_FOUND",)),
                ("WatchSpot", {"g_per_nm": {"x": NAN, "y": 0.0}}, ("INVALID_VALUE",)),
                ("WatchSpot", {"g_per_nm": {"x": 1e9, "y": 0.0}}, ("INVALID_VALUE",)),
                ("WatchSpot", {"g_per_nm": {"x": 1.0, "y": 0.0}, "tolerance_per_nm": -1.0}, ("INVALID_VALUE",)),
                ("SetRegion", {"region": {"x": 200, "y": 0, "width": 64, "height": 64}}, ("INVALID_VALUE",)),
                ("SetRegion", {"region": {"x": -1, "y": 0, "width": 64, "height": 64}}, ("INVALID_VALUE",)),
                ("SetRegion", {"region": {"x": 0, "y": 0, "width": 4, "height": 4}}, ("INVALID_VALUE",)),
                ("Reset", {"detector": "no"}, ("NOT_FOUND",))):
            with self.subTest(method=method, fields=fields):
                self.assertIn(client.refused("Track", method, **fields).reason, reasons)

        region = {"x": 16, "y": 32, "width": 224, "height": 192}
        smaller = change("SetRegion", region=region)
        self.assertEqual({key: getattr(smaller.region, key) for key in region}, region)
        self.after(smaller.from_seq + 10, lambda m: any(s.confirmed for s in m.spots), "spots in the region")
        change("Reset")
        whole = change("SetRegion", region={"width": 0})
        self.assertEqual((whole.region.width, whole.region.height), (256, 256))
        live = {e.measurement.seq for e in self.events.messages if e.measurement.changes}
        self.assertEqual(live, set(changes))
        recorded = self.recorded()
        words = {"SetReference": "set_reference", "WatchSpot": "watch_spot", "ForgetSpot": "forget_spot",
                 "SetRegion": "set_region", "Reset": "reset_tracking"}
        for seq, method in changes.items():
            self.assertIn(seq, recorded, method)
            self.assertRegex(recorded[seq], f"{words[method]}|{words[method].replace('_', ' ')}", method)

    def test_a_change_that_no_frame_comes_for_is_not_made(self):
        # The world stands still: nothing flows, a change finds no frame, and a stop is not kept waiting by it.
        self.start()
        self.lab.world.send_signal(signal.SIGSTOP)
        try:
            def refusal():
                try:  # the first ones may still find a frame on its way
                    return self.client.call("Track", "Reset", timeout=1.0) and None
                except harness.Refused as why:
                    return why
            self.assertEqual(harness.wait_for(refusal, "silence").code.name, "DEADLINE_EXCEEDED")
        finally:
            self.lab.world.send_signal(signal.SIGCONT)
        self.assertEqual(self.client.call("Acquisition", "Stop").ended, "stopped")


if __name__ == "__main__":
    harness.main()
