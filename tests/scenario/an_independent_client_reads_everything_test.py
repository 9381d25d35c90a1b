#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that shares no code with latticed learns the API from the server and reads everything there is about a run:
what it gets is held against the world's own truth and against the recording."""
import pathlib
import re
import subprocess
import tempfile
import unittest

import grpc
import h5py
import numpy
from google.protobuf import descriptor_pb2

import harness

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
FRAMES, SIZE = 120, 128
LOST = {40: "sequence_gap", 41: "sequence_gap", 42: "sequence_gap", 60: "incomplete"}
CURRENT_A = 5e-8
MORE = """
[cell]
capacity_c = 1e-6
voltage_v = [[0.0, 3.0], [1.0, 4.0]]
[[step]]
t_s = 0.2
current_a = 5e-8
[[step]]
t_s = 2.0
current_a = 2e-8
[[fault]]
frame = 40
kind = "drop"
count = 3
[[fault]]
frame = 60
kind = "short"
"""
BRIGHT = """
[[rule]]
name = "bright"
quantity = "mean_counts"
kind = "limit"
above = 150.0
"""
KINDS = ("RAW", "ALIGNED", "DIFFERENCE", "RUNNING_MEAN", "FFT")
ENCODINGS = ("GRAY8", "GRAY16", "JPEG")
SESSION = {"sample": "NMO-7", "elements": ["Na", "Mn", "O"], "electrode_mass_kg": 2e-6, "zone_axis": "[0 1 0]",
           "high_tension_v": 2e5, "operator": "Ada", "comment": "first charge"}


def jpeg_size(data):
    """(width, height) of a baseline JPEG, by its own frame header."""
    at = 2
    while data[at] == 0xFF:
        length = int.from_bytes(data[at + 2:at + 4], "big")
        if data[at + 1] == 0xC0:
            return int.from_bytes(data[at + 7:at + 9], "big"), int.from_bytes(data[at + 5:at + 7], "big")
        at += 2 + length
    raise ValueError("no frame header")


def fields_of(messages):
    for message in messages:
        yield from message.field
        yield from fields_of(message.nested_type)


class APlayedRun:
    """What all the streams brought of one run, and what was asked besides."""

    def __init__(self):
        scenario = harness.small_scenario(frames=FRAMES, size=SIZE, more=MORE)
        # Room for every frame: what is compared here is what arrives, not what is left out. The world waits for its
        # steps, at frame 10 and 100: what is to happen in the run does.
        with harness.Lab(scenario, speed=0.5, stimulus="client", more=BRIGHT, detector={"frame_slots": 4 * FRAMES},
                         serve={"frame_lease_quota": 2 * FRAMES, "zmq_high_water_mark": 10000}) as lab:
            self.play(lab)

    def play(self, lab):
        client = self.client = lab.client
        self.before = lab.status()
        self.detectors_before = client.call("Acquisition", "ListDetectors")
        self.session_set = client.call("Session", "Set", session=SESSION)
        self.session = client.call("Session", "Get")
        self.rules = client.call("Alerts", "GetRules")
        self.track = client.call("Track", "Get")
        self.health = {name: client.call("grpc.health.v1.Health", "Check", service=name)
                       for name in ("", "latticed.v1.Acquisition", "latticed.v1.Holder", "latticed.v1.Recording")}
        statuses = client.stream("Acquisition", "WatchStatus").accepted().gather()
        measurements = client.stream("Measurements", "Watch", holder_updates=True).accepted().gather()
        every_tenth = client.stream("Measurements", "Watch", detector="camera", decimation=10).accepted().gather()
        alerts = client.stream("Alerts", "Watch", include_active=True).accepted().gather()
        holder = client.stream("Holder", "Watch").accepted().gather()
        previews = {(kind, encoding): client.stream(
            "Preview", "Watch", kind=f"IMAGE_KIND_{kind}", encoding=f"ENCODING_{encoding}", size=64, rate_hz=30,
            count=2).accepted().gather() for kind in KINDS for encoding in ENCODINGS}
        exact = client.stream("Preview", "Watch", kind="IMAGE_KIND_RAW", encoding="ENCODING_GRAY16", size=SIZE,
                              black=0.0, white=65535.0, count=3).accepted().gather()
        subscriber = lab.subscriber().gather()

        client.call("Holder", "Arm", holder="holder", who="Ada")
        client.call("Holder", "SetSource", holder="holder", mode="SOURCE_MODE_CURRENT", level=CURRENT_A,
                    compliance=4.5, who="Ada")
        # Who subscribes is heard of a moment later; holder events come until it is so.
        def heard():
            client.call("Holder", "Hold", holder="holder", who="Ada")
            client.call("Holder", "SetSource", holder="holder", mode="SOURCE_MODE_CURRENT", level=CURRENT_A,
                        compliance=4.4 if len(asked) % 2 else 4.5, who="Ada")
            asked.append(True)
            return subscriber.messages
        asked = []
        harness.wait_for(heard, "the first message by ZeroMQ")

        self.configured = lab.configure()
        client.call("Acquisition", "Arm")
        self.span = client.call("Session", "AddTag", text="charging", who="Ada", span=True).tag
        client.call("Acquisition", "Start")
        measurements.wait_for(lambda event: event.measurement.seq >= 9, "frame 9")
        self.switched_on = client.call("Holder", "SetOutput", holder="holder", on=True, who="Ada")
        self.moment = client.call("Session", "AddTag", text="look here", who="Bob").tag
        self.during = lab.status()
        alerts.wait_for(lambda event: event.what == "raised", "an alarm")
        self.acknowledged = client.call("Alerts", "Acknowledge", id=1, who="Ada", comment="seen")
        measurements.wait_for(lambda event: event.measurement.seq >= 80, "frame 80")
        self.span_ended = client.call("Session", "EndTag", id=self.span.id).tag
        self.new_rules = client.call("Alerts", "SetRules", rules=[
            {"name": "dim", "quantity": "mean_counts", "kind": "limit", "below": 1.0}])
        client.call("Holder", "SetSource", holder="holder", mode="SOURCE_MODE_CURRENT", level=2e-8, compliance=4.5,
                    who="Ada")
        measurements.wait_for(lambda event: event.HasField("run_ends"), "the run's end")
        self.after = lab.wait_for_state("IDLE")
        self.detectors = client.call("Acquisition", "ListDetectors")
        last = lambda m: m.topic.startswith("measurement") and self.event(m).HasField("run_ends")
        subscriber.wait_for(last, "the run's end by ZeroMQ")
        self.edges = client.call("Acquisition", "GetCounters").edges
        self.recording = client.call("Recording", "Get")
        self.tags = client.call("Session", "ListTags")
        self.alert_list = client.call("Alerts", "List")
        self.published = subscriber.end()
        self.measurements, self.every_tenth = measurements.end(), every_tenth.end()
        self.alerts, self.statuses, self.holder = alerts.end(), statuses.end(), holder.end()
        self.previews = {key: images.join() for key, images in previews.items()}
        self.exact = exact.join()
        self.truth, _ = lab.truth()
        self.state = lab.state
        with h5py.File(self.recording.recording.files[0]) as file:
            event1 = file["entry/measurement/event1"]
            self.recorded_ids = event1["frame_info/frame_id"][:]
            self.recorded_frames = event1["image1/stack_2d/real"][:]
            self.recorded_bias = event1["frame_info/bias_v"][:]
            self.recorded_lost = [(int(row["seq"]), int(row["count"]), row["reason"].decode())
                                  for row in event1["lost/frames"]]
            self.recorded_sample = file["entry/sample1/name"][()].decode()
        # What is asked of a server that has nothing else to do.
        self.answers = {}
        for service in client.api.services:
            if service.startswith("latticed."):
                for method in client.api.service(service).methods:
                    self.answers[f"{service}.{method.name}"] = self.ask(service, method.name)

    def event(self, published):
        return self.client.api.message("MeasurementEvent").FromString(published.body)

    def ask(self, service, method):
        """The first reply to an empty request, or the refusal; None: a stream that begins."""
        try:
            _, is_streaming = self.client.api.method(service, method)
            if not is_streaming:
                return self.client.call(service, method)
            self.client.stream(service, method).accepted().cancel()
        except harness.Refused as refused:
            return refused
        return None


class AnIndependentClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.run_ = APlayedRun()

    # --- the API ------------------------------------------------------------------------------------

    def test_finds_every_service_method_message_and_field_of_the_contract(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "contract"
            subprocess.run(["protoc", f"-I{PROTO}", f"--descriptor_set_out={out}",
                            *sorted(map(str, (PROTO / "latticed/v1").glob("*.proto")))], check=True)
            contract = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
        served = self.run_.client.api.files
        self.assertGreater(len(contract.file), 5)
        for file in contract.file:
            self.assertIn(file.name, served)
            self.assertEqual(len(file.message_type), len(served[file.name].message_type), file.name)
            for field in fields_of(file.message_type):
                field.ClearField("json_name")  # protoc's own addition
            for mine, theirs in zip((*file.service, *file.message_type, *file.enum_type),
                                    (*served[file.name].service, *served[file.name].message_type,
                                     *served[file.name].enum_type)):
                self.assertEqual(str(mine), str(theirs), f"{file.name}: {mine.name}")

    def test_finds_health_and_reflection_beside_them(self):
        self.assertEqual({name for name in self.run_.client.api.services if not name.startswith("latticed.")},
                         {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"})
        for name, reply in self.run_.health.items():
            self.assertEqual(reply.status, 1, f"{name or 'the server'} is not SERVING")

    def test_hears_health_of_an_unknown_service_as_not_found(self):
        with harness.Lab(guard=False) as lab:
            refused = lab.client.refused("grpc.health.v1.Health", "Check", service="latticed.v1.Nothing")
            self.assertEqual(refused.code, grpc.StatusCode.NOT_FOUND)
            health = lab.client.stream("grpc.health.v1.Health", "Watch", service="latticed.v1.Acquisition").gather()
            health.wait_for(lambda reply: reply.status == 1, "SERVING")
            lab.stop()
            health.wait_for(lambda reply: reply.status == 2, "NOT_SERVING when the server ends")

    def test_gets_an_answer_or_a_reason_from_every_method_for_an_empty_request(self):
        words = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b|\bINTERNAL\b|\bDISARMED\b",
                               (PROTO / "latticed/v1/errors.proto").read_text().split("message ErrorInfo")[0]))
        calls = sum(text.count("\n  rpc ") for text in (file.read_text() for file in PROTO.rglob("*.proto")))
        self.assertEqual(len(self.run_.answers), calls)
        for method, answer in self.run_.answers.items():
            with self.subTest(method):
                if isinstance(answer, harness.Refused):
                    self.assertIn(answer.reason, words)
                    self.assertEqual(answer.domain, "latticed")
                    self.assertEqual(answer.rich_code, answer.code.value[0])
                elif answer is not None:
                    self.assertTrue(answer.stamp.rehearsal)
                    self.assertGreater(answer.stamp.time_ns, 0)

    # --- measurements ---------------------------------------------------------------------------------

    def events(self, kind, events=None):
        return [getattr(event, kind) for event in (events or self.run_.measurements) if event.HasField(kind)]

    def test_gets_every_frame_once_and_in_order_measured_or_listed_as_lost(self):
        seen = [(m.seq, "") for m in self.events("measurement")]
        for lost in self.events("lost"):
            seen += [(lost.seq + i, lost.reason) for i in range(lost.count)]
        order = [event.measurement.seq if event.HasField("measurement") else event.lost.seq
                 for event in self.run_.measurements if event.HasField("measurement") or event.HasField("lost")]
        self.assertEqual(order, sorted(order))
        self.assertEqual(sorted(seq for seq, _ in seen), list(range(FRAMES)))
        said = {seq: reason for seq, reason in seen if reason}
        self.assertEqual({seq: said.get(seq) for seq in LOST}, LOST)
        # On a machine that is too slow the world loses more, and says which.
        self.assertEqual(sorted(said), [frame["frame"] for frame in self.run_.truth if frame["lost"]])

    def test_hears_the_run_begin_and_end_and_nothing_skipped(self):
        events = self.run_.measurements
        begins, = self.events("run_begins")
        self.assertEqual((begins.width, begins.height, begins.pixel_size_nm), (SIZE, SIZE, 0.05))
        self.assertAlmostEqual(begins.frame_period_s, 0.02)
        ends, = self.events("run_ends")
        self.assertEqual((ends.measured, ends.lost, ends.ended),
                         (len(self.events("measurement")), sum(x.count for x in self.events("lost")), "completed"))
        self.assertTrue(events[0].HasField("run_begins") and events[-1].HasField("run_ends"))
        self.assertEqual({event.skipped for event in events}, {0})
        self.assertEqual({(event.detector, event.stamp.epoch) for event in events}, {("camera", 1)})

    def test_gets_what_a_measurement_is_made_of(self):
        locked = self.run_.client.api.enum("DriftState")["DRIFT_STATE_LOCKED"]
        measured = self.events("measurement")
        self.assertGreater(sum(m.drift_state == locked for m in measured), len(measured) // 2)
        for m in measured:
            self.assertEqual(m.quality, "good")
            self.assertGreater(m.mean_counts, 0)
            self.assertTrue(m.HasField("time_ns") and m.HasField("drift_px"))
            self.assertGreaterEqual(m.latency_s, 0)
            self.assertEqual([h.holder for h in m.holders], ["holder"])
        self.assertGreater(sum(m.HasField("crystallinity") for m in measured), len(measured) // 2)
        times = [m.time_ns for m in measured]
        self.assertEqual(times, sorted(set(times)))
        spots = [spot for m in measured for spot in m.spots]
        self.assertGreater(len(spots), len(measured))
        for spot in spots:
            g = (spot.g_per_nm.x ** 2 + spot.g_per_nm.y ** 2) ** 0.5
            self.assertAlmostEqual(spot.d_nm, 1 / g, delta=5 * spot.sigma_d_nm)  # harmonics are joined in d
            self.assertTrue(spot.id > 0 and spot.snr > 0 and spot.sigma_d_nm > 0)

    def test_gets_every_tenth_frame_where_it_asked_for_that_and_what_must_not_be_missed(self):
        every_tenth = self.run_.every_tenth
        self.assertEqual([m.seq for m in self.events("measurement", every_tenth)],
                         [m.seq for m in self.events("measurement") if m.seq % 10 == 0 or m.alerts or m.changes])
        self.assertLess(len(self.events("measurement", every_tenth)), FRAMES // 8)
        self.assertEqual([str(lost) for lost in self.events("lost", every_tenth)],
                         [str(lost) for lost in self.events("lost")])
        self.assertEqual(self.events("holder_update", every_tenth), [])

    def test_reads_of_changed_rules_in_the_frame_they_hold_from(self):
        from_seq = self.run_.new_rules.from_seq["camera"]
        changed = [m.seq for m in self.events("measurement") if m.changes]
        self.assertEqual(changed, [from_seq])

    # --- the holder -----------------------------------------------------------------------------------

    def test_gets_final_holder_values_equal_to_the_worlds_samples(self):
        truth = self.run_.truth  # a sample is taken when a frame begins; mid-exposure lies half-way to the next one
        updates = self.events("holder_update")
        self.assertEqual([u.seq for u in updates], [m.seq for m in self.events("measurement")])
        for update in updates:
            holder, = update.holders
            if update.seq == FRAMES - 1:  # no sample follows the last frame
                self.assertTrue(holder.provisional)
                continue
            self.assertFalse(holder.provisional)
            self.assertEqual(holder.age_s, 0.0)
            a, b = truth[update.seq], truth[update.seq + 1]
            for key in ("bias_v", "current_a", "temperature_k"):
                self.assertTrue(numpy.isclose(getattr(holder, key), (a[key] + b[key]) / 2, rtol=1e-6, atol=1e-15),
                                f"frame {update.seq}: {key} {getattr(holder, key)}, truth {a[key]} and {b[key]}")
        self.assertGreater(max(frame["bias_v"] for frame in truth), 3.01, "the cell was charged")
        self.assertIn(CURRENT_A, {frame["current_a"] for frame in truth})

    def test_finds_the_same_final_values_in_the_recording(self):
        recorded = dict(zip(map(int, self.run_.recorded_ids), self.run_.recorded_bias))
        for update in self.events("holder_update"):
            self.assertAlmostEqual(recorded[update.seq], update.holders[0].bias_v, places=9)

    def test_gets_provisional_holder_values_with_every_frame(self):
        truth = self.run_.truth
        provisional = 0
        for m in self.events("measurement"):
            holder, = m.holders
            provisional += holder.provisional
            if holder.provisional and m.seq > 0:
                # 10 ms from the frame's beginning to its middle; a sample that is late is an older one.
                self.assertGreater(holder.age_s, 0.009)
            self.assertLessEqual(holder.bias_v, truth[min(m.seq + 1, FRAMES - 1)]["bias_v"] + 1e-9)
        self.assertGreater(provisional, 0)

    def test_gets_every_holder_sample_once(self):
        samples = [sample for event in self.run_.holder for sample in event.samples]
        self.assertEqual([sample.bias_v for sample in samples], [frame["bias_v"] for frame in self.run_.truth])
        self.assertEqual({event.skipped for event in self.run_.holder}, {0})
        armed = self.run_.client.api.enum("ArmingState")["ARMING_STATE_ARMED"]
        self.assertIn(armed, [event.changed.arming for event in self.run_.holder if event.HasField("changed")])
        self.assertEqual(self.run_.switched_on.holder.armed_by, "Ada")

    # --- alerts, session, tags --------------------------------------------------------------------------

    def test_gets_alerts_as_they_happen_and_lists_them(self):
        whats = [event.what for event in self.run_.alerts]
        self.assertEqual(whats, ["raised", "acknowledged", "cleared"])
        raised, acknowledged, cleared = (event.alert for event in self.run_.alerts)
        self.assertEqual((raised.id, raised.rule, raised.quantity, raised.raised_seq, raised.active),
                         (1, "bright", "mean_counts", 0, True))
        self.assertGreater(raised.value, 150.0)
        self.assertEqual((acknowledged.acknowledged_by, acknowledged.comment), ("Ada", "seen"))
        self.assertFalse(cleared.active)
        listed, = self.run_.alert_list.alerts
        self.assertEqual((listed.id, listed.acknowledged_by, listed.active), (1, "Ada", False))
        with_frame = [(m.seq, change.raised) for m in self.events("measurement") for change in m.alerts]
        self.assertEqual(with_frame, [(0, True), (cleared.cleared_seq, False)])

    def test_reads_the_rules_it_set(self):
        self.assertEqual([(rule.name, rule.above) for rule in self.run_.rules.rules], [("bright", 150.0)])
        self.assertEqual([(rule.name, rule.below) for rule in self.run_.new_rules.rules], [("dim", 1.0)])

    def test_reads_the_session_it_set_and_finds_it_in_the_recording(self):
        got = self.run_.session.session
        for key, value in SESSION.items():
            self.assertEqual(list(got.elements) if key == "elements" else getattr(got, key), value)
        self.assertEqual(self.run_.recorded_sample, "NMO-7")

    def test_lists_its_tags(self):
        span, moment = self.run_.tags.tags
        self.assertEqual((span.text, span.who, span.span), ("charging", "Ada", True))
        self.assertGreaterEqual(self.run_.span_ended.end_seq["camera"], 80)
        self.assertEqual(span, self.run_.span_ended)
        self.assertEqual((moment.text, moment.who, moment.span, moment.epoch), ("look here", "Bob", False, 1))
        self.assertGreaterEqual(moment.begin_seq["camera"], 9)
        self.assertFalse(moment.HasField("end_ns"))

    # --- previews ---------------------------------------------------------------------------------------

    def test_gets_previews_of_every_kind_and_encoding(self):
        api = self.run_.client.api
        for (kind, encoding), images in self.run_.previews.items():
            with self.subTest(kind=kind, encoding=encoding):
                self.assertEqual(len(images), 2)
                for image in images:
                    self.assertEqual(image.kind, api.enum("ImageKind")[f"IMAGE_KIND_{kind}"])
                    self.assertEqual(image.encoding, api.enum("Encoding")[f"ENCODING_{encoding}"])
                    self.assertEqual((image.width, image.height), (64, 64))
                    self.assertEqual(image.pixel_unit, "1/nm" if kind == "FFT" else "nm")
                    self.assertEqual(image.unit, "ln(magnitude)" if kind == "FFT" else "counts")
                    self.assertAlmostEqual(image.pixel_size, 1 / (64 * 0.05) if kind == "FFT" else 0.1,
                                           delta=0.4 if kind == "FFT" else 1e-9)
                    self.assertLess(image.black, image.white)
                    if encoding == "JPEG":
                        self.assertEqual((image.pixels[:3], image.pixels[-2:]), (b"\xff\xd8\xff", b"\xff\xd9"))
                        self.assertEqual(jpeg_size(image.pixels), (64, 64))
                    else:
                        self.assertEqual(len(image.pixels), 64 * 64 * (2 if encoding == "GRAY16" else 1))
                        self.assertGreater(len(set(image.pixels)), 16, "it is a picture of something")
                self.assertLess(images[0].seq, images[1].seq)

    def test_gets_the_very_counts_where_it_asks_for_all_grey_levels(self):
        index = {int(seq): i for i, seq in enumerate(self.run_.recorded_ids)}
        self.assertEqual(len(self.run_.exact), 3)
        for image in self.run_.exact:
            self.assertEqual((image.width, image.height, image.black, image.white), (SIZE, SIZE, 0.0, 65535.0))
            seen = numpy.frombuffer(image.pixels, "<u2").reshape(SIZE, SIZE)
            recorded = self.run_.recorded_frames[index[image.seq]]
            # Hot pixels are mended in the picture and kept in the recording.
            self.assertGreater(numpy.mean(seen == recorded), 0.99)

    # --- status, counters, recording --------------------------------------------------------------------

    def test_follows_the_run_through_its_states(self):
        states = [self.run_.state(reply) for reply in self.run_.statuses]
        changes = [state for i, state in enumerate(states) if i == 0 or states[i - 1] != state]
        self.assertEqual(changes[:4], ["IDLE", "CONFIGURED", "ARMED", "RUNNING"])
        self.assertEqual(changes[-1], "IDLE")
        self.assertEqual(self.run_.state(self.run_.during), "RUNNING")
        self.assertTrue(self.run_.during.recording.active and self.run_.before.guard_reachable)
        self.assertGreater(self.run_.during.detectors[0].measured, 9)
        self.assertEqual((self.run_.after.ended, self.run_.after.fault), ("completed", ""))
        self.assertEqual(self.run_.after.detectors[0].last_seq, FRAMES - 1)

    def test_reads_what_the_detector_is_and_will_do(self):
        self.assertEqual([(d.name, d.driver, d.state) for d in self.run_.detectors_before.detectors],
                         [("camera", "simulator", "closed")])
        detector, = self.run_.detectors.detectors
        self.assertTrue(detector.model and detector.serial)
        configuration, = self.run_.configured.detectors
        self.assertEqual((configuration.width, configuration.height, configuration.frame_count, configuration.paced,
                          configuration.frame_bytes), (SIZE, SIZE, FRAMES, True, SIZE * SIZE * 2))
        self.assertEqual(configuration.pixel_type, self.run_.client.api.enum("PixelType")["PIXEL_TYPE_U16"])
        self.assertEqual(self.run_.track.region.width, 0)

    def test_finds_in_every_counter_what_went_in_again(self):
        edges = self.run_.edges
        self.assertGreater(len(edges), 8)
        for edge in edges:
            with self.subTest(edge.detector + " " + edge.name):
                into = getattr(edge, "in")
                self.assertEqual(into, edge.out + edge.dropped + sum(edge.lost.values()) + edge.level)
        names = [(edge.detector, edge.name) for edge in edges]
        self.assertEqual(len(names), len(set(names)), f"an edge is there twice: {names}")
        by_name = dict(zip(names, edges))
        source = by_name["camera", "source"]
        lost = {reason: sum(frame["lost"] == reason for frame in self.run_.truth)
                for reason in {frame["lost"] for frame in self.run_.truth} - {None}}
        self.assertEqual(dict(source.lost), lost)
        self.assertEqual(getattr(source, "in"), FRAMES)
        self.assertEqual(by_name["camera", "record"].dropped, 0)

    def test_reads_that_every_frame_was_recorded(self):
        recording = self.run_.recording.recording
        measured = [m.seq for m in self.events("measurement")]
        self.assertEqual((recording.frames, recording.active, recording.error), (len(measured), False, ""))
        self.assertEqual(recording.bytes, len(measured) * SIZE * SIZE * 2)
        self.assertEqual(list(self.run_.recorded_ids), measured)
        self.assertEqual(self.run_.recorded_lost,
                         [(lost.seq, lost.count, lost.reason) for lost in self.events("lost")])

    # --- ZeroMQ -----------------------------------------------------------------------------------------

    def topic(self, topic):
        return [message for message in self.run_.published if message.topic == topic]

    def test_gets_every_topic_by_zeromq_with_counters_without_gaps(self):
        self.assertEqual({message.topic for message in self.run_.published},
                         {"frame.camera/", "measurement.camera/", "alert/", "holder.holder/"})
        for topic in {message.topic for message in self.run_.published}:
            counters = [message.header.counter for message in self.topic(topic)]
            self.assertEqual(counters, list(range(counters[0], counters[0] + len(counters))), topic)
            if topic != "holder.holder/":
                self.assertEqual(counters[0], 1, topic)

    def test_gets_raw_frames_by_zeromq_bit_for_bit_as_recorded(self):
        frames = self.topic("frame.camera/")
        self.assertEqual([frame.header.seq for frame in frames], list(map(int, self.run_.recorded_ids)))
        drift = {m.seq: m.drift_px for m in self.events("measurement")}
        for frame, recorded in zip(frames, self.run_.recorded_frames):
            self.assertEqual((frame.header.width, frame.header.height, frame.header.detector), (SIZE, SIZE, "camera"))
            self.assertTrue(frame.body == recorded.tobytes(), f"frame {frame.header.seq} differs")
            self.assertEqual(frame.header.drift_px, drift[frame.header.seq])

    def test_gets_the_same_measurements_by_zeromq_as_by_grpc(self):
        published = [self.run_.event(message) for message in self.topic("measurement.camera/")]
        self.assertEqual([str(event) for event in published], [str(event) for event in self.run_.measurements])

    def test_gets_alerts_and_holder_samples_by_zeromq(self):
        api = self.run_.client.api
        alerts = [api.message("AlertEvent").FromString(message.body) for message in self.topic("alert/")]
        self.assertEqual([(event.what, event.alert.id) for event in alerts],
                         [(event.what, event.alert.id) for event in self.run_.alerts])
        events = [api.message("HolderEvent").FromString(message.body) for message in self.topic("holder.holder/")]
        self.assertEqual([sample.time_ns for event in events for sample in event.samples],
                         [sample.time_ns for event in self.run_.holder for sample in event.samples])

    # --- rehearsal ----------------------------------------------------------------------------------------

    def test_is_told_in_every_message_that_it_is_a_rehearsal(self):
        run = self.run_
        api = run.client.api
        kinds = {"alert/": "AlertEvent", "measurement.camera/": "MeasurementEvent", "holder.holder/": "HolderEvent"}
        bodies = [api.message(kinds[m.topic]).FromString(m.body) for m in run.published if m.topic in kinds]
        messages = [*run.measurements, *run.every_tenth, *run.alerts, *run.statuses, *run.holder, *run.exact,
                    *(image for images in run.previews.values() for image in images),
                    *(message.header for message in run.published), *bodies]
        self.assertGreater(len(messages), 4 * FRAMES)
        for message in messages:
            self.assertTrue(message.stamp.rehearsal, message)
            self.assertGreater(message.stamp.time_ns, 0)


if __name__ == "__main__":
    harness.main()
