#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A played run's recording holds every frame bit for bit, every frame that was lost and why, the holder as it really was,
what people said, did and changed, and what the session was about; and it took no new object after it was begun."""
import unittest

import h5py
import numpy

import harness

FRAMES, SIZE, START_S = 150, 96, 1_700_000_000
LOST = {40: "sequence_gap", 41: "sequence_gap", 42: "sequence_gap", 60: "incomplete"}
SCENARIO = f"""
name = "recorded"
seed = 7
frames = {FRAMES}
frame_period_s = 0.02
start_time_unix_s = {START_S}
[[detector]]
name = "camera"
width = {SIZE}
height = {SIZE}
pixel_size_nm = 0.05
[specimen]
field = "lattice"
[cell]
capacity_c = 1e-6
voltage_v = [[0.0, 3.0], [1.0, 4.0]]
[[fault]]
frame = 40
kind = "drop"
count = 3
[[fault]]
frame = 60
kind = "short"
"""
SESSION = {"sample": "NMO-7", "elements": ["Na", "Mn", "O"], "electrode_mass_kg": 2e-6, "zone_axis": "[0 1 0]",
           "high_tension_v": 2e5, "operator": "Ada", "comment": "first charge"}
# Slots enough for a machine that is busy with other things: this is not about who keeps up.
ROOMY = {"frame_slots": 2 * FRAMES}


def event1(file):
    return file["entry/measurement/event1"]


def objects(file):
    names = []
    file.visit(names.append)
    return sorted(names)


class Played:
    """A run as people would have it, and its recording, read while it grew and when it was complete."""

    def __init__(self):
        with harness.Lab(SCENARIO, detector=ROOMY, record={"quota_frames": FRAMES}) as lab:
            client = lab.client
            client.call("Session", "Set", session=SESSION)
            client.call("Recording", "Enable", name="charge")
            client.call("Holder", "Arm", who="Ada")
            client.call("Holder", "SetSource", mode="SOURCE_MODE_CURRENT", level=5e-8, compliance=4.5, who="Ada")
            lab.configure()
            client.call("Acquisition", "Arm")
            frames = lab.subscriber("frame.camera/").gather()
            measurements = client.stream("Measurements", "Watch", holder_updates=True).accepted().gather()
            client.call("Acquisition", "Start")
            measured = lambda seq: measurements.wait_for(lambda e: e.measurement.seq >= seq, f"frame {seq}")
            measured(10)
            client.call("Holder", "SetOutput", on=True, who="Ada")
            self.moment = client.call("Session", "AddTag", text="crack", who="Bob").tag
            self.span = client.call("Session", "AddTag", text="holding", who="Ada", span=True).tag
            self.left_open = client.call("Session", "AddTag", text="to the end", who="Ada", span=True).tag
            part, = lab.recordings.glob("*.part")
            with h5py.File(part, swmr=True) as file:
                self.objects_at_first = objects(file)
            measured(70)
            self.span = client.call("Session", "EndTag", id=self.span.id).tag
            self.rules_from = client.call("Alerts", "SetRules", rules=[
                {"name": "bright", "quantity": "mean_counts", "kind": "limit", "above": 1e6}]).from_seq["camera"]
            self.reset_from = client.call("Track", "Reset").from_seq
            self.status = lab.wait_for_state("IDLE", "FAULT")
            measurements.wait_for(lambda e: e.HasField("run_ends"), "the run's end")
            self.measurements = measurements.end()
            self.frames = {m.header.seq: m.body for m in frames.end()}
            self.truth, _ = lab.truth()
            self.file = lab.recording()[0]
            self.name = self.file.name
            self.content = self.file.read_bytes()
            with h5py.File(self.file) as file:
                self.objects = objects(file)
                self.images = event1(file)["image1/stack_2d/real"][:]
                self.ids = [int(i) for i in event1(file)["frame_info/frame_id"][:]]
                self.times_ns = [int(t) for t in event1(file)["frame_info/time_ns"][:]]
                self.lost = [(int(r["seq"]), int(r["count"]), r["reason"].decode()) for r in event1(file)["lost/frames"]]
                self.events = [{key: row[key].decode() if isinstance(row[key], bytes) else row[key]
                                for key in row.dtype.names} for row in file["entry/events"][:]]
                self.columns = {key: event1(file)[f"frame_info/{key}"][:] for key in
                                ("bias_v", "current_a", "temperature_k", "drift_x_px", "flags")}
                sensor = {}
                event1(file)["instrument"].visititems(
                    lambda name, item: sensor.__setitem__(name, item[:])
                    if isinstance(item, h5py.Dataset) and "value_log" in name else None)
                self.sensors = sensor
                text = lambda path: file[path][()].decode()
                self.sample = text("entry/sample1/name")
                self.user = text("entry/user1/name")


class TheRecording(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.played = Played()

    def test_is_complete_and_has_every_frame_or_says_why_not(self):
        p = self.played
        self.assertEqual((p.status.ended, p.status.recording.error), ("completed", ""))
        self.assertRegex(p.name, r"^charge-camera-\d{8}T\d{6}Z\.nxs$")
        lost = {seq + i: why for seq, count, why in p.lost for i in range(count)}
        self.assertEqual(sorted([*p.ids, *lost]), list(range(FRAMES)))
        self.assertEqual({seq: lost.get(seq) for seq in LOST}, LOST)
        self.assertEqual(sorted(lost), [frame["frame"] for frame in p.truth if frame["lost"]])

    def test_has_frames_bit_for_bit(self):
        p = self.played
        self.assertGreater(len(p.frames), 0)
        for seq, image in zip(p.ids, p.images):
            if seq in p.frames:  # ZeroMQ may leave some out
                self.assertEqual(image.tobytes(), p.frames[seq], f"frame {seq}")
        # The same seed gives the same bits: nothing depends on pace, on clients, or on what was lost where.
        with harness.Lab(SCENARIO, speed=0, guard=False) as lab:
            lab.start_run()
            lab.wait_for_state("IDLE")
            with h5py.File(lab.recording()[0]) as file:
                again = dict(zip(map(int, event1(file)["frame_info/frame_id"]), event1(file)["image1/stack_2d/real"]))
        self.assertEqual(sorted(again), [seq for seq in range(FRAMES) if seq not in LOST])
        for seq, image in zip(p.ids, p.images):
            self.assertTrue(numpy.array_equal(image, again[seq]), f"frame {seq}")

    def test_has_the_holder_as_it_was_in_the_middle_of_each_frame(self):
        p = self.played
        for row, seq in enumerate(p.ids[:-1]):
            if seq == FRAMES - 1:
                continue  # no sample follows
            a, b = p.truth[seq], p.truth[seq + 1]
            self.assertEqual(p.times_ns[row], START_S * 10**9 + seq * 20_000_000 + 10_000_000)
            for key in ("bias_v", "current_a", "temperature_k"):
                self.assertTrue(numpy.isclose(p.columns[key][row], (a[key] + b[key]) / 2, rtol=1e-5, atol=1e-14),
                                f"frame {seq}: {key} {p.columns[key][row]}, truth {a[key]} and {b[key]}")
        self.assertGreater(numpy.nanmax(p.columns["bias_v"]), 3.0)

    def test_has_every_sample_of_the_holder(self):
        p = self.played
        logs = {name: values for name, values in p.sensors.items() if name.endswith("value")}
        self.assertGreaterEqual(len(logs), 3, sorted(p.sensors))
        biases = [frame["bias_v"] for frame in p.truth]
        self.assertTrue(any(len(values) >= FRAMES - 1 and numpy.isin(numpy.round(biases[:-1], 9),
                                                                      numpy.round(values, 9)).all()
                            for values in logs.values()), {name: len(values) for name, values in logs.items()})

    def events(self, kind):
        return [event for event in self.played.events if event["kind"] == kind]

    def test_has_what_people_said_on_the_frames_they_said_it(self):
        p = self.played
        moment, = self.events("tag")
        self.assertEqual((moment["text"], moment["source"]), ("crack", "Bob"))
        self.assertEqual(int(moment["frame_first"]), p.moment.begin_seq["camera"])
        spans = {event["text"]: (int(event["frame_first"]), int(event["frame_last"])) for event in self.events("span")}
        self.assertEqual(spans["holding"], (p.span.begin_seq["camera"], p.span.end_seq["camera"]))
        self.assertEqual(spans["to the end"], (p.left_open.begin_seq["camera"], FRAMES - 1))

    def test_has_what_was_commanded_and_by_whom(self):
        said = {(event["source"], event["text"].split(" ", 1)[-1]) for event in self.events("command")}
        self.assertIn(("Ada", "set_output on"), said)
        self.assertTrue(any(source == "acquisition" and "start" in text for source, text in said), said)

    def test_has_what_was_changed_and_from_which_frame_on(self):
        changes = [(int(event["frame_first"]), event["text"]) for event in self.events("parameter")]
        self.assertTrue(any(seq == self.played.rules_from and "bright" in text for seq, text in changes), changes)
        self.assertTrue(any(seq == self.played.reset_from and "reset" in text for seq, text in changes), changes)
        live = {e.measurement.seq for e in self.played.measurements if e.measurement.changes}
        self.assertEqual(live, {self.played.rules_from, self.played.reset_from})

    def test_has_what_the_session_was_about(self):
        p = self.played
        self.assertEqual((p.sample, p.user), (SESSION["sample"], SESSION["operator"]))
        for text in (SESSION["comment"], SESSION["zone_axis"]):
            self.assertIn(text.encode(), p.content)

    def test_got_no_object_after_its_beginning(self):
        self.assertGreater(len(self.played.objects_at_first), 50)
        self.assertEqual(self.played.objects_at_first, self.played.objects)


if __name__ == "__main__":
    harness.main()
