# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings and processes for the tests of `latticed`'s commands. Standard library only."""
import array
import json
import math
import os
import pathlib
import random
import signal
import struct
import subprocess
import tempfile
import time
import unittest

LATTICED, SIM_WORLD = (pathlib.Path(os.environ[name]) for name in ("LATTICED", "SIM_WORLD"))
# Sanitizers and a busy machine are slow; a deadline only ends what hangs.
DEADLINE_S = 120


def fringes(width, height, frame=0, period_px=7.3):
    """One frame of a fringe pattern with noise, as 16-bit counts."""
    noise = random.Random(frame)
    wave = [200 * math.cos(2 * math.pi * (x + 0.3 * frame) / period_px) for x in range(width)]
    return array.array("H", (int(1000 + wave[x] + noise.gauss(0, 20)) for _ in range(height)
                             for x in range(width)))


def mrc(path, frames, width, height, mode=6, count=None):
    """An MRC file of these frames; `count`: what the header says, if not their number."""
    header = bytearray(1024)
    said = len(frames) if count is None else count
    struct.pack_into("<4i", header, 0, width, height, said, mode)
    struct.pack_into("<3i", header, 28, width, height, said)
    header[208:212] = b"MAP "
    header[212:216] = bytes([0x44, 0x44, 0, 0])
    with open(path, "wb") as out:
        out.write(header)
        for frame in frames:
            out.write(frame.tobytes())
    return str(path)


def lines_of(text):
    """JSON lines, each complete; NaN is no JSON."""
    def refuse(word):
        raise ValueError(f"{word} in JSON")
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def wait_for(condition, what, deadline_s=DEADLINE_S):
    """The condition's first true value."""
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {deadline_s} s")


def threads_of(process):
    """The names of a running process's threads."""
    names = set()
    for thread in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        try:
            names.add((thread / "comm").read_text().strip())
        except OSError:  # it ended meanwhile
            pass
    return names


class Programs(unittest.TestCase):
    """Runs programs in a folder of its own; what is still running at the end is killed."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="latticed-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def start(self, *command, **options):
        process = subprocess.Popen([str(part) for part in command], cwd=self.folder, **options)

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        self.addCleanup(end)
        return process

    def latticed(self, *arguments, **options):
        """Runs to its end: stdout, stderr and returncode as text."""
        return subprocess.run([str(LATTICED), *map(str, arguments)], cwd=self.folder, text=True,
                              capture_output=True, timeout=DEADLINE_S, **options)

    def errors(self, stderr):
        return [line for line in stderr.splitlines() if " error " in line]

    def world(self, scenario, *arguments):
        (self.folder / "scenario.toml").write_text(scenario)
        socket = self.folder / "world.sock"
        world = self.start(SIM_WORLD, "--scenario", "scenario.toml", "--socket", socket, *arguments,
                           stdout=subprocess.PIPE, text=True)
        self.assertIn("ready", world.stdout.readline())
        return world, socket


def small_scenario(frames, more="", detectors=("camera",)):
    return "\n".join([
        'name = "small"', f"frames = {frames}", "frame_period_s = 0.05",
        *(f'[[detector]]\nname = "{name}"\nwidth = 64\nheight = 64\npixel_size_nm = 0.05'
          for name in detectors),
        '[specimen]\nfield = "lattice"', more])


def main():
    signal.alarm(1200)  # whatever happens, this ends
    unittest.main(verbosity=2)
