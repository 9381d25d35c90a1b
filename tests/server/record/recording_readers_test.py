# SPDX-License-Identifier: GPL-3.0-or-later
"""Our recordings, read by the programs people use: h5py, also while they are written, and HyperSpy.

usage: recording_readers_test.py RECORD_MOVIE; exit 77 (skipped) where a module is missing."""
import datetime
import json
import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import warnings

try:
    import h5py
    import numpy
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import hyperspy.api as hs
except ImportError as missing:
    print(f"SKIPPED: {missing}")
    sys.exit(77)

RECORD_MOVIE = sys.argv.pop(1)
START_NS, PERIOD_NS, SAMPLE_NS = 1_700_000_000_000_000_000, 100_000_000, 7_000_000
PIXEL_NM = 0.05
PROVISIONAL, GAP, SIMULATED = 32, 1, 8
EVENT = "/entry/measurement/event1"
INFO = EVENT + "/frame_info"
IMAGES = EVENT + "/image1/stack_2d/real"
PATIENCE_S = 60


# The formulas of tests/support/recorded_run.hpp.
def image(seq, height=16, width=24):
    y, x = numpy.mgrid[0:height, 0:width].astype("u8")
    return ((seq * 7919 + y * 613 + x * 31) & 0xFFFF).astype("u2")


def time_ns(seq):
    return START_NS + seq * PERIOD_NS + PERIOD_NS // 2 + 123


def bias_v(at_ns):
    t = numpy.fmod((numpy.asarray(at_ns) - START_NS) * 1e-9, 1.4)
    return 2.0 * numpy.where(t < 0.7, t, 1.4 - t)


def seqs(frames):
    return [seq for seq in range(frames) if seq not in (5, 6, 7)]


def whole(folder, frames=40, profile="portable"):
    if profile == "archive":  # made of a finished one
        path = pathlib.Path(whole(folder, frames, "compact"))
        packed = path.with_name("archive.nxs")
        subprocess.run([RECORD_MOVIE, "repack", path, packed, profile], capture_output=True, timeout=PATIENCE_S, check=True)
        path.unlink()
        return str(packed)
    said = subprocess.run([RECORD_MOVIE, "whole", folder, str(frames), profile], capture_output=True, text=True,
                          timeout=PATIENCE_S, check=True)
    return said.stdout.strip()


def objects(file):
    """Every link and attribute: what SWMR forbids to add."""
    found = []

    def visit(group):
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.SoftLink):
                found.append((f"{group.name}/{name}", "->", link.path))
                continue
            item = group[name]
            found.append((f"{group.name}/{name}", type(item).__name__, tuple(sorted(item.attrs))))
            if isinstance(item, h5py.Group):
                visit(item)

    found.append(("/", "Group", tuple(sorted(file.attrs))))
    visit(file)
    return sorted(found)


class Live:
    """A recording under way, stopped after every ten frames."""

    def __init__(self, folder, frames, profile="portable"):
        self.process = subprocess.Popen([RECORD_MOVIE, "live", folder, str(frames), profile], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.path = self.process.stdout.readline().strip()

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.path = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self.process.stdin.close()
        self.process.stdout.close()


class InFolder(unittest.TestCase):
    profile = "portable"

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def check_images(self, stack, frames):
        self.assertEqual(stack.dtype, numpy.dtype("u2"))
        numpy.testing.assert_array_equal(stack[...], [image(seq) for seq in seqs(frames)])


class Contents(InFolder):
    def setUp(self):
        super().setUp()
        self.file = h5py.File(whole(self.folder.name, profile=self.profile))
        self.addCleanup(self.file.close)
        self.info = self.file[INFO]
        self.seq = numpy.array(seqs(40))

    def test_images_are_the_frames_bit_by_bit(self):
        self.check_images(self.file[IMAGES], 40)
        self.assertEqual(self.file[IMAGES].chunks, (1, 16, 24))
        numpy.testing.assert_array_equal(self.file[EVENT + "/image1/stack_2d/indices_image"], range(37))
        numpy.testing.assert_array_equal(self.file[EVENT + "/image1/stack_2d/axis_i"],
                                         PIXEL_NM * numpy.arange(24.0))

    def test_each_image_has_its_row(self):
        columns = {name: column[...] for name, column in self.info.items()}
        self.assertEqual({len(column) for column in columns.values()}, {37})
        numpy.testing.assert_array_equal(columns["frame_id"], self.seq)
        numpy.testing.assert_array_equal(columns["hardware_sequence"], self.seq + 1000)
        numpy.testing.assert_array_equal(columns["time_ns"], time_ns(self.seq))
        numpy.testing.assert_allclose(columns["time"], (time_ns(self.seq) - START_NS) * 1e-9, rtol=0, atol=1e-12)
        numpy.testing.assert_array_equal(columns["exposure"], numpy.float32(0.08))
        numpy.testing.assert_array_equal(columns["drift_x_px"], 0.1 * self.seq)
        numpy.testing.assert_array_equal(columns["drift_y_px"], -0.2 * self.seq)
        numpy.testing.assert_array_equal(columns["drift_x"], 0.1 * self.seq * PIXEL_NM)
        numpy.testing.assert_array_equal(columns["sigma_drift_sys_y_px"], 0.002)
        numpy.testing.assert_array_equal(columns["drift_state"], self.seq % 4 == 3)
        numpy.testing.assert_array_equal(columns["mean_counts"], 100.0 + self.seq)
        numpy.testing.assert_array_equal(columns["crystallinity"],
                                         numpy.where(self.seq % 2 == 0, 0.5 / (1.0 + self.seq), numpy.nan))
        numpy.testing.assert_array_equal(columns["flags"] & ~numpy.uint32(PROVISIONAL),
                                         SIMULATED + GAP * (self.seq == 8))
        # Nobody measured them.
        for unknown in ("time_uncertainty", "temperature_k", "dose_rate", "dose_total"):
            self.assertTrue(numpy.isnan(columns[unknown]).all(), unknown)

    def test_every_image_has_the_checksum_of_its_bytes(self):
        table = []
        for value in range(256):
            for _ in range(8):
                value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
            table.append(value)

        def crc32c(data):
            crc = 0xFFFFFFFF
            for byte in data:
                crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
            return crc ^ 0xFFFFFFFF

        self.assertEqual(crc32c(b"123456789"), 0xE3069283)
        self.assertEqual([crc32c(frame.tobytes()) for frame in self.file[IMAGES][...]],
                         list(self.info["crc32c"][...]))

    def test_lost_frames_are_a_row_and_no_image(self):
        lost = self.file[EVENT + "/lost/frames"][...]
        self.assertEqual(lost.tolist(), [(5, 3, 5, b"no_free_slot")])

    def test_spots_have_a_row_each(self):
        spots = self.file["/entry/processing/lattice/found/spots"][...]
        wanted = [(seq, i) for seq in self.seq for i in range(1, 2 + seq % 3)]
        self.assertEqual([(row["seq"], row["id"]) for row in spots], wanted)
        numpy.testing.assert_array_equal(spots["d_nm"], 0.5 / spots["id"])
        numpy.testing.assert_array_equal(spots["d_px"], 0.5 / spots["id"] / PIXEL_NM)
        numpy.testing.assert_array_equal(spots["g_x_per_nm"], 1.5 * spots["id"])
        numpy.testing.assert_array_equal(spots["g_y_per_nm"], 0.25 * spots["seq"])
        numpy.testing.assert_array_equal(spots["sigma_d_sys_nm"], 3e-5 * spots["id"])
        numpy.testing.assert_array_equal(spots["confirmed"], spots["id"] == 1)
        numpy.testing.assert_array_equal(spots["age_frames"], spots["seq"])

    def test_holder_samples_are_all_there_and_share_their_times(self):
        logs = [self.file[f"{EVENT}/instrument/sensor_{name}/value_log"]
                for name in ("bias_voltage", "bias_current", "temperature")]
        times = logs[0]["time_ns"][...]
        last = (time_ns(39) - 300_000_000 - START_NS) // SAMPLE_NS
        numpy.testing.assert_array_equal(times, START_NS + SAMPLE_NS * numpy.arange(last + 1))
        numpy.testing.assert_allclose(logs[0]["time"], (times - START_NS) * 1e-9, rtol=0, atol=1e-12)
        numpy.testing.assert_allclose(logs[0]["value"], bias_v(times), rtol=0, atol=1e-12)
        numpy.testing.assert_allclose(logs[1]["value"], -3e-6 * bias_v(times), rtol=0, atol=1e-18)
        self.assertTrue(numpy.isnan(logs[2]["value"][...]).all())
        numpy.testing.assert_array_equal(logs[0]["state"], 1 + 4 * (numpy.arange(last + 1) % 3 == 0))
        self.assertEqual(logs[1]["time"], logs[0]["time"])
        self.assertEqual(self.file[f"{EVENT}/instrument/sensor_bias_voltage/name"][()], b"bias1")

    def test_holder_state_is_interpolated_at_mid_exposure_and_the_last_sample_where_none_follows(self):
        last = START_NS + (time_ns(39) - 300_000_000 - START_NS) // SAMPLE_NS * SAMPLE_NS
        is_final = time_ns(self.seq) <= last
        self.assertEqual(is_final.sum(), 33)
        numpy.testing.assert_array_equal(self.info["flags"][...] & PROVISIONAL == 0, is_final)
        truth = bias_v(numpy.where(is_final, time_ns(self.seq), last))
        numpy.testing.assert_allclose(self.info["bias_v"], truth, rtol=0, atol=1e-9)
        numpy.testing.assert_allclose(self.info["current_a"], -3e-6 * truth, rtol=0, atol=1e-15)
        age_s = numpy.where(is_final, 0.0, (time_ns(self.seq) - last) * 1e-9)
        numpy.testing.assert_allclose(self.info["holder_age"], age_s, rtol=1e-6, atol=0)

    def test_events_keep_who_what_and_when_and_long_texts_whole(self):
        events = self.file["/entry/events"][...]
        texts = {}
        for row in events:
            texts.setdefault(row["id"], [row, b""])[1] += row["text"]
        (first, rules), (tag, said), (change, changed), (alert, raised) = texts.values()
        self.assertEqual((first["kind"], first["source"], first["frame_first"]), (b"parameter", b"track", 0))
        self.assertIn("spot_d_nm", [rule["quantity"] for rule in json.loads(rules)["rules"]])
        self.assertEqual((tag["kind"], tag["source"], said.decode()), (b"tag", b"operator", "here it cracks: µ"))
        self.assertEqual((tag["time_ns"], tag["frame_first"]), (time_ns(1), 1))
        self.assertEqual(tag["frame_last"], 2**64 - 1)
        self.assertEqual((change["kind"], changed), (b"parameter", b"x" * 1300 + b"end"))
        self.assertEqual(change["parts"], 3)
        self.assertEqual((alert["kind"], alert["frame_first"], alert["time_ns"]), (b"alert", 2, time_ns(2)))
        raised = json.loads(raised)
        self.assertEqual((raised["state"], raised["value"], raised["since_seq"], raised["spot_id"]),
                         ("raised", 0.4567, 1, 5))

    def test_session_configuration_and_totals(self):
        text = lambda path: self.file[path][()].decode()
        self.assertEqual(text("/entry/sample1/name"), "NaMnO2 #7")
        self.assertEqual(text("/entry/sample1/atom_types"), "Na, Mn, O")
        self.assertEqual(self.file["/entry/sample1/mass"][()], 2.5e-9)
        self.assertEqual(text("/entry/user1/name"), "M. Muster")
        self.assertIs(bool(self.file["/entry/sample1/is_simulation"][()]), True)
        source = self.file["/entry/measurement/instrument/ebeam_column/electron_source/voltage"]
        self.assertEqual((source[()], source.attrs["units"]), (300.0, b"kV"))
        self.assertEqual(text("/entry/latticed/config"), '[run]\nname = "µ"\n')
        self.assertEqual(text("/entry/latticed/ended_by"), "end of the run")
        totals = {name: int(self.file["/entry/latticed/" + name][()])
                  for name in ("images", "lost", "events", "events_missed", "holder_samples_missed")}
        self.assertEqual(totals, {"images": 37, "lost": 3, "events": 4, "events_missed": 0,
                                  "holder_samples_missed": 0})
        self.assertEqual(text("/entry/start_time"), "2023-11-14T22:13:20.000000000Z")
        self.assertEqual(text("/entry/end_time"), "2023-11-14T22:13:24.000000000Z")

    def test_the_images_are_the_largest_dataset_and_the_only_one_with_three_dimensions(self):
        sizes = {}
        self.file.visititems(lambda name, item: sizes.__setitem__(name, item)
                             if isinstance(item, h5py.Dataset) and item.ndim >= 3 else None)
        self.assertEqual(list(sizes), ["Experiments/frames/data"])
        self.assertEqual(self.file["Experiments/frames/data"], self.file[IMAGES])


class Required(InFolder):
    def test_everything_nxem_and_the_readers_require_is_there(self):
        table = pathlib.Path(__file__).with_name("nxem_required.txt").read_text(encoding="utf-8")
        rows = [line.split(None, 2) for line in table.splitlines() if line and not line.startswith("#")]
        self.assertGreater(len(rows), 40)
        with h5py.File(whole(self.folder.name, profile=self.profile)) as file:
            for path, kind, wanted in rows:
                with self.subTest(path=path, kind=kind):
                    self.check(file[path], kind, wanted)

    def check(self, item, kind, wanted):
        if kind == "class":
            # bytes: HyperSpy's reader knows no variable-length text here
            self.assertEqual(item.attrs["NX_class"], wanted.encode())
        elif kind.endswith("@"):
            value = item.attrs[kind[:-1]]
            self.assertIsInstance(value, bytes)
            self.assertTrue(value)
            self.assertIn(wanted.encode(), (value, b"*"))
        elif kind == "text":
            self.assertTrue(item[()])
            self.assertIn(wanted.encode(), (item[()], b"*"))
        elif kind == "time":
            datetime.datetime.strptime(item[()].decode()[:26], "%Y-%m-%dT%H:%M:%S.%f")
            self.assertTrue(item[()].endswith(b"Z"))
        elif kind == "bool":
            self.assertEqual(item.dtype, numpy.dtype(bool))
        elif kind == "array":
            self.assertEqual(item.ndim, int(wanted))
        else:
            self.fail(f"nxem_required.txt: {kind}")


class WhileWritten(InFolder):
    def test_h5py_reads_along(self):
        with Live(self.folder.name, 40, self.profile) as live:
            self.assertTrue(live.path.endswith("run.nxs.part"))
            with h5py.File(live.path, "r", swmr=True) as file:
                self.check_images(file[IMAGES], 10)
                self.assertEqual(file[INFO]["frame_id"][...].tolist(), seqs(10))
                live.go_on()
                for name in ("frame_id", "flags", "bias_v", "crc32c"):
                    file[INFO][name].refresh()
                file[IMAGES].refresh()
                self.check_images(file[IMAGES], 20)
                self.assertEqual(file[INFO]["frame_id"][...].tolist(), seqs(20))
                # All but the newest have their final holder values meanwhile.
                final = file[INFO]["flags"][...] & PROVISIONAL == 0
                self.assertEqual(final.tolist(), [True] * 16 + [False])
                numpy.testing.assert_allclose(file[INFO]["bias_v"][:16], bias_v(time_ns(numpy.array(seqs(19)))),
                                              rtol=0, atol=1e-9)
            with self.assertRaises(OSError):  # as every HDF5 file under SWMR
                h5py.File(live.path, "r")

    def test_no_object_and_no_attribute_is_made_after_the_start(self):
        with Live(self.folder.name, 40, self.profile) as live:
            with h5py.File(live.path, "r", swmr=True) as file:
                before = objects(file)
            for _ in range(4):
                live.go_on()
            self.assertTrue(live.path.endswith("run.nxs"))
            with h5py.File(live.path, "r") as file:
                after = objects(file)
        self.assertGreater(len(before), 100)
        self.assertEqual(before, after)

    def test_a_killed_writer_leaves_every_flushed_frame(self):
        with Live(self.folder.name, 40, self.profile) as live:
            live.go_on()
            live.process.kill()
            live.process.wait(PATIENCE_S)
            part = live.path
        with self.assertRaises(OSError):
            h5py.File(part, "r")
        said = subprocess.run([RECORD_MOVIE, "recover", part], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=True)
        self.assertEqual(os.listdir(self.folder.name), ["run.nxs"])
        with h5py.File(said.stdout.strip(), "r") as file:
            self.check_images(file[IMAGES], 20)
            self.assertEqual({len(column) for column in file[INFO].values()}, {17})
            self.assertIn(b"its writer ended without completing it", file["/entry/latticed/ended_by"][()])
            self.assertIs(bool(file["/entry/latticed/recovered"][()]), True)
            self.assertEqual(file["/Experiments/frames/axis-0"].attrs["size"], 17)
            # What nobody was left to say is counted, and the end is the last image's time.
            totals = {name: int(file["/entry/latticed/" + name][()]) for name in ("images", "lost", "events")}
            self.assertEqual(totals, {"images": 17, "lost": 3, "events": 4})
            samples = len(file[EVENT + "/instrument/sensor_bias_voltage/value_log/time"])
            self.assertGreater(samples, 200)
            self.assertEqual(file["/entry/latticed/holder_samples"][()], samples)
            self.assertEqual(file["/entry/end_time"][()], b"2023-11-14T22:13:21.950000123Z")


class HyperSpy(InFolder):
    def check_signal(self, signal, axes):
        self.check_images(numpy.asarray(signal.data), 40)
        self.assertEqual(signal.axes_manager.navigation_shape, (37,))
        self.assertEqual(signal.axes_manager.signal_shape, (24, 16))
        said = {axis.name: (round(axis.scale, 12), axis.units) for axis in signal.axes_manager._axes}
        self.assertEqual({name: said[name] for name in axes}, axes)

    def test_nexus_default_signal_with_calibrated_axes(self):
        path = whole(self.folder.name, profile=self.profile)
        for is_lazy in (False, True):
            with self.subTest(lazy=is_lazy):
                signal = hs.load(path, use_default=True, lazy=is_lazy)
                self.assertIsInstance(signal, hs.signals.Signal2D)
                self.check_signal(signal, {"axis_i": (PIXEL_NM, "nm"), "axis_j": (PIXEL_NM, "nm")})

    def test_a_run_in_which_nothing_happened_opens_too(self):
        said = subprocess.run([RECORD_MOVIE, "bare", self.folder.name, "5"], capture_output=True, text=True,
                              timeout=PATIENCE_S, check=True)
        path = said.stdout.strip()
        with h5py.File(path) as file:
            self.assertEqual([file[EVENT + "/lost/frames"].size, file["/entry/processing/lattice/found/spots"].size],
                             [0, 0])
            self.assertNotIn(EVENT + "/instrument/sensor_bias_voltage", file, "it has no sample")
        for is_lazy in (False, True):
            signal = hs.load(path, use_default=True, lazy=is_lazy)
            numpy.testing.assert_array_equal(numpy.asarray(signal.data), [image(seq) for seq in range(5)])

    def test_its_own_view_with_calibrated_axes(self):
        path = whole(self.folder.name, profile=self.profile)
        for is_lazy in (False, True):
            with self.subTest(lazy=is_lazy):
                signal = hs.load(path, reader="HSPY", lazy=is_lazy)
                self.assertIsInstance(signal, hs.signals.Signal2D)
                self.check_signal(signal, {"time": (0.1, "s"), "y": (PIXEL_NM, "nm"), "x": (PIXEL_NM, "nm")})
                self.assertEqual(signal.metadata.General.title, "run")


class Compact:
    """The same of packed images, read through Blosc's plug-in; every third is not packed."""
    profile = "compact"


class CompactContents(Compact, Contents):
    def test_images_are_packed_but_for_those_that_were_not(self):
        images = self.file[IMAGES].id
        masks = [images.get_chunk_info(row).filter_mask for row in range(images.get_num_chunks())]
        self.assertEqual(masks, [int(seq % 3 == 2) for seq in self.seq])
        sizes = [images.get_chunk_info(row).size for row in range(images.get_num_chunks())]
        for size, mask in zip(sizes, masks):
            (self.assertEqual if mask else self.assertLess)(size, 2 * 16 * 24)
        self.assertIn(b"hdf5-filter-plugin-blosc-serial", self.file[IMAGES].attrs["compression"])


class CompactRequired(Compact, Required):
    pass


class CompactWhileWritten(Compact, WhileWritten):
    pass


class CompactHyperSpy(Compact, HyperSpy):
    pass


class Archive:
    """A compact one packed again: everything is still there, and no plug-in is needed."""
    profile = "archive"


class ArchiveContents(Archive, Contents):
    def test_images_are_smaller_and_say_how_they_are_stored(self):
        images = self.file[IMAGES]
        self.assertEqual((images.compression, images.shuffle), ("gzip", True))
        self.assertEqual(images.attrs["compression"], b"shuffle and gzip")
        self.assertLess(images.id.get_storage_size(), images.size * 2)
        self.assertEqual(self.file["/entry/latticed/profile"][()], b"archive")


class ArchiveRequired(Archive, Required):
    pass


class ArchiveHyperSpy(Archive, HyperSpy):
    pass


class Repacked(InFolder):
    def test_every_object_and_value_but_the_images_storage_is_the_same(self):
        before = pathlib.Path(whole(self.folder.name, profile="compact"))
        for storage in ("portable", "compact", "archive"):
            after = before.with_name(storage + ".nxs")
            subprocess.run([RECORD_MOVIE, "repack", before, after, storage], timeout=PATIENCE_S, check=True, capture_output=True)
            said = subprocess.run(["h5diff", before, after], capture_output=True, text=True, timeout=PATIENCE_S).stdout
            differing = {line.split("<")[1].split(">")[0] for line in said.splitlines()
                         if line.startswith(("dataset:", "attribute:")) and "<" in line}
            with h5py.File(before) as one, h5py.File(after) as other:
                self.assertEqual(objects(one), objects(other))
                self.assertEqual(other["Experiments/frames/data"], other[IMAGES], "one dataset with two names")
                self.check_images(other[IMAGES], 40)
                self.assertEqual(other["/entry/latticed/profile"][()].decode(), storage)
                for name in ("frame_id", "drift_x_px", "crc32c"):
                    numpy.testing.assert_array_equal(one[INFO][name], other[INFO][name])
                numpy.testing.assert_array_equal(one["/entry/events"], other["/entry/events"])
            self.assertEqual("/entry/latticed/profile" in differing, storage != "compact", said)
            self.assertTrue(all("compression" in path or "profile" in path for path in differing), said[-2000:])
            refused = subprocess.run([RECORD_MOVIE, "repack", before, after, storage], capture_output=True, text=True,
                                     timeout=PATIENCE_S)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("there already", refused.stderr)


class H5dump(InFolder):
    def test_prints_every_pixel_of_every_profile(self):
        for profile in ("portable", "compact", "archive"):
            with self.subTest(profile=profile):
                path = whole(self.folder.name, profile=profile)
                said = subprocess.run(["h5dump", "-y", "-w", "0", "-d", IMAGES, path], capture_output=True, text=True,
                                      timeout=PATIENCE_S, check=True).stdout
                data = said[said.index("DATA {") + 6:said.index("}", said.index("DATA {"))]
                pixels = numpy.array(data.replace(",", " ").split(), dtype="u2")
                numpy.testing.assert_array_equal(pixels.reshape(-1, 16, 24), [image(seq) for seq in seqs(40)])


if __name__ == "__main__":
    unittest.main()
