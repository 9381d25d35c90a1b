# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers killed at any moment of their life: what they had shown is there after recovery, and nothing else is wrong.

usage: killed_writers_test.py RECORD_STREAM RECORD_MOVIE KILLS [SEED]; exit 77 (skipped) where a module is missing."""
import concurrent.futures
import os
import random
import subprocess
import sys
import tempfile
import time

try:
    import h5py
    import numpy
except ImportError as missing:
    print(f"SKIPPED: {missing}")
    sys.exit(77)

STREAM, MOVIE, KILLS = sys.argv[1], sys.argv[2], int(sys.argv[3])
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else random.SystemRandom().randrange(2**32)
FRAMES, PERIOD_MS, AT_ONCE = 400, 3, 4
SHAPES = [(16, 24), (192, 256)]  # the large ones go past the page cache
OLD_S = 1.0  # the promise: what the recorder has had for so long is there
FRAMES_RUN = 60  # so many periods of its own, at least, are longer than frames may wait for a flush
PATIENCE_S = 60
EVENT = "/entry/measurement/event1"


# The formula of tests/support/recorded_run.hpp.
def image(seq, shape):
    y, x = numpy.mgrid[0:shape[0], 0:shape[1]].astype("u8")
    return ((seq * 7919 + y * 613 + x * 31) & 0xFFFF).astype("u2")


class Said:
    """What the writer told until it was killed, each with the time it was read."""

    def __init__(self, folder, profile, shape, after_s, since_made):
        with subprocess.Popen([STREAM, folder, str(FRAMES), str(PERIOD_MS), profile, str(shape[1]), str(shape[0])],
                              stdout=subprocess.PIPE, bufsize=0) as writer:
            os.set_blocking(writer.stdout.fileno(), False)
            began, left, self.handed, self.shown, self.ended = time.monotonic(), b"", [], 0, None
            self.made, waited = None, 0.0
            while True:
                now = time.monotonic()
                if since_made and not self.made and now - began < PATIENCE_S:
                    waited = now - began  # a sanitizer's writer needs its time to begin
                if now - began - waited >= after_s:
                    writer.kill()
                    self.killed_at = time.monotonic()
                    writer.wait(PATIENCE_S)
                left = self.take(left + (writer.stdout.read() or b""), now)
                if writer.poll() is not None:
                    self.take(left + (writer.stdout.read() or b""), now)
                    break
                time.sleep(0.001)
            self.status = writer.returncode
            self.killed_at = getattr(self, "killed_at", time.monotonic())

    def take(self, text, now):
        *lines, rest = text.split(b"\n")
        for line in lines:
            word, value = line.decode().split(None, 1)
            if word == "handed":
                self.handed.append((int(value), now))
            elif word == "shown":
                self.shown = int(value)
            else:
                setattr(self, word, value)
        return rest


def judge(path, said, shape):
    """What is wrong, in words."""
    with h5py.File(path) as file:
        info = file[EVENT + "/frame_info"]
        ids = info["frame_id"][...]
        images = file[EVENT + "/image1/stack_2d/real"]
        wanted = [seq for seq in range(len(ids) * 2) if seq % 50 != 49][:len(ids)]
        if list(ids) != wanted:
            return f"frames {list(ids)}"
        for row, seq in enumerate(wanted):
            if not numpy.array_equal(images[row], image(seq, shape)):
                return f"image of frame {seq}"
        if {len(column) for column in info.values()} != {len(ids)} or len(images) != len(ids):
            return "columns of different lengths"
        if len(ids) < said.shown:
            return f"{len(ids)} frames, {said.shown} were shown"
        # On a busy machine the writer itself may not have run for that second: then its frames are younger.
        old = [seq for seq, at in said.handed[:-FRAMES_RUN] if at < said.killed_at - OLD_S]
        if old and (not len(ids) or ids[-1] < old[-1]):
            return f"frame {old[-1]} is not there, {len(ids)} are"
        seqs = file["/entry/processing/lattice/found/spots"]["seq"]
        if len(seqs) and (numpy.any(numpy.diff(seqs.astype("i8")) < 0) or (len(ids) and seqs[-1] > FRAMES)):
            return "rows of spots are not in order"
        if any(row["count"] != 1 or row["seq"] % 50 != 49 for row in file[EVENT + "/lost/frames"]):
            return f"lost frames {file[EVENT + '/lost/frames'][...]}"
        sensor = file.get(EVENT + "/instrument/sensor_bias_voltage")  # absent: killed before its first sample
        times = sensor["value_log/time_ns"][...] if sensor else []
        if len(times) and numpy.any(numpy.diff(times) <= 0):
            return "holder samples are not in order"
        if not file["/entry/latticed/ended_by"][()]:
            return "no end"
    return ""


def kill_one(number):
    chance = random.Random(f"{SEED}/{number}")
    profile = chance.choice(["portable", "compact"])
    shape = chance.choice(SHAPES)
    # Over all of its life: being made, writing, being completed.
    life_s = 1e-3 * FRAMES * PERIOD_MS
    since_made, after_s = chance.choice([(False, chance.uniform(0.0, 0.05)), (True, chance.uniform(0.0, life_s)),
                                         (True, chance.uniform(0.0, life_s)),
                                         (True, chance.uniform(life_s, 1.6 * life_s))])
    with tempfile.TemporaryDirectory() as folder:
        said = Said(folder, profile, shape, after_s, since_made)
        # Logs of pages lie beside a .part only, or are left behind in the moment before they are removed.
        names = sorted(name for name in os.listdir(folder) if not name.endswith((".log", ".log.new")))
        if said.status == 0 and names != ["run.nxs"]:
            return "ended", f"{names}"
        if names == ["run.nxs"]:
            kind = "complete"
        elif names == ["run.nxs.part"]:
            done = subprocess.run([MOVIE, "recover", os.path.join(folder, names[0])], capture_output=True, text=True,
                                  timeout=PATIENCE_S)
            if done.returncode != 0:
                # Only before it was whole enough to take a frame.
                return "unmade", f"{done.stderr} after {said.made}" if said.made else ""
            kind = "recovered"
            if left := [name for name in os.listdir(folder) if name != "run.nxs"]:
                return kind, f"{left} are left"
        elif not names and not said.made:
            return "unmade", ""
        else:
            return "names", f"{names}"
        problem = judge(os.path.join(folder, "run.nxs"), said, shape)
        verified = subprocess.run([MOVIE, "verify", os.path.join(folder, "run.nxs")], capture_output=True, text=True,
                                  timeout=PATIENCE_S)
        if verified.returncode != 0:
            problem += "; verify: " + verified.stdout
        return kind, problem


def main():
    print(f"seed {SEED}")
    kinds, problems = {}, []
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for number, (kind, problem) in enumerate(pool.map(kill_one, range(KILLS))):
            kinds[kind] = kinds.get(kind, 0) + 1
            if problem:
                problems.append(f"kill {number}: {kind}: {problem}")
    print(kinds)
    print("\n".join(problems))
    if problems:
        return 1
    # A test of nothing else than kills before the first frame would pass with anything.
    return 0 if kinds.get("recovered", 0) >= KILLS // 10 else 1


sys.exit(main())
