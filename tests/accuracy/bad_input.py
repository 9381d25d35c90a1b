# SPDX-License-Identifier: GPL-3.0-or-later
"""Movies of specimens that are hard to measure, with what is true of them, and what an honest answer is.

A specimen is amorphous film, a lattice where its mask is, thickness; shot noise by seed. Lengths in pixels, displacement
(x, y): +x = it moved right. The film is moved by phase ramps on a canvas larger than the field, so it is exact at any
displacement and nothing comes in twice before the canvas' size."""
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy
except ImportError as missing:
    print(f"SKIPPED: {missing}")
    sys.exit(77)

LATTICED = os.environ["LATTICED"]
PIXEL_NM = 0.02
# A frame that claims to be locked, and whose cell is not in doubt, is off by more than this about once in two million
# times, if its sigma is what it says.
MOST_SIGMAS = 5.0


class Film:
    """Noise whose power has fallen to a quarter at `f0` (cycles per pixel), of this rms, on a periodic canvas."""

    def __init__(self, seed, rms=0.06, f0=0.08, canvas=1024):
        f = numpy.hypot(numpy.fft.fftfreq(canvas)[:, None], numpy.fft.rfftfreq(canvas)[None, :])
        spectrum = numpy.fft.rfft2(numpy.random.default_rng(seed).normal(size=(canvas, canvas)))
        spectrum *= numpy.where(f < 0.45, 1 / (1 + (f / f0)**2), 0)
        spectrum[0, 0] = 0
        self.spectrum = spectrum * (rms / numpy.fft.irfft2(spectrum).std())
        self.canvas = canvas

    def at(self, shift, size):
        y, x = numpy.fft.fftfreq(self.canvas)[:, None], numpy.fft.rfftfreq(self.canvas)[None, :]
        moved = numpy.fft.irfft2(self.spectrum * numpy.exp(-2j * numpy.pi * (x * shift[0] + y * shift[1])))
        first = (self.canvas - size) // 2
        return moved[first:first + size, first:first + size]


# A layered crystal at 0.02 nm/px: its planes and two crossing rows. (period px, direction rad, contrast, phase rad)
LAYERED = ((26.65, 0.3, 0.2, 0.4), (12.25, 1.66, 0.1, 1.1), (12.25, -1.06, 0.1, 2.0))


class Specimen:
    """`mask(x, y)`: 0 to 1, where the crystal is; None = everywhere. `film`: None = vacuum."""

    def __init__(self, film=None, waves=(), mask=None, thickness=0.0, size=256):
        self.film, self.waves, self.mask, self.thickness, self.size = film, waves, mask, thickness, size

    def at(self, shift):
        """Expected electrons of every pixel, 1 = those of the empty beam."""
        y, x = numpy.mgrid[:self.size, :self.size] - (self.size - 1) / 2
        x, y = x - shift[0], y - shift[1]
        image = numpy.ones((self.size, self.size))
        if self.film:
            image += self.film.at(shift, self.size)
        crystal = numpy.full_like(image, self.thickness)
        for period, direction, contrast, phase in self.waves:
            along = x * numpy.cos(direction) + y * numpy.sin(direction)
            crystal += contrast * numpy.cos(2 * numpy.pi * along / period + phase)
        image += crystal if self.mask is None else self.mask(x, y) * crystal
        return numpy.clip(image, 0, None)

    def spacings_nm(self):
        return [period * PIXEL_NM for period, *_ in self.waves]


def disc(x0, y0, radius, edge=3.0):
    """A particle's mask: a lobed disc with a soft edge."""
    def mask(x, y):
        angle = numpy.arctan2(y - y0, x - x0)
        lobed = radius * (1 + 0.15 * numpy.cos(2 * angle + 0.4) + 0.08 * numpy.cos(3 * angle + 1.0))
        return 0.5 * (1 + numpy.tanh((lobed - numpy.hypot(x - x0, y - y0)) / edge))
    return mask


def corner(x0, y0, edge=3.0):
    """The mask of a crystal that fills the field's upper left corner up to (x0, y0) from the centre."""
    return lambda x, y: 0.25 * (1 - numpy.tanh((x - x0) / edge)) * (1 - numpy.tanh((y - y0) / edge))


def path(frames, seed, velocity=(0.2, -0.1), walk=0.3):
    """Displacements of a drifting specimen from frame 0 on, px."""
    steps = numpy.random.default_rng(seed).normal(velocity, walk, (frames, 2))
    steps[0] = 0
    return numpy.cumsum(steps, axis=0)


def exposed(expected, electrons, seed):
    """Frames of shot noise about the expectations, electrons a pixel."""
    random = numpy.random.default_rng(seed)
    return numpy.array([random.poisson(electrons * image) for image in expected]).astype("u2")


def write_mrc(name, movie):
    """MRC 2014, mode 6: unsigned 16 bit."""
    header = bytearray(1024)
    frames, height, width = movie.shape
    struct.pack_into("<4i", header, 0, width, height, frames, 6)
    struct.pack_into("<3i", header, 28, width, height, frames)
    header[208:216] = b"MAP " + bytes([0x44, 0x44, 0, 0])
    with open(name, "wb") as out:
        out.write(header)
        out.write(movie.astype("<u2").tobytes())


def analyze(movie, *options):
    """What the program says of the movie, a line a frame. NaN is no JSON."""
    def refuse(word):
        raise AssertionError(f"{word} in JSON")
    with tempfile.TemporaryDirectory(prefix="latticed-test-") as folder:
        write_mrc(f"{folder}/movie.mrc", movie)
        run = subprocess.run([LATTICED, "analyze", f"{folder}/movie.mrc", "--pixel-size-nm", str(PIXEL_NM), *options],
                             capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line, parse_constant=refuse) for line in run.stdout.splitlines()]
    assert [line["seq"] for line in lines] == list(range(len(movie)))
    return lines


def is_sure(line):
    return line["drift_state"] == "locked" and not line["cell_ambiguous"]


class Honesty(unittest.TestCase):
    """What must hold of every movie."""

    def sigmas_off(self, lines, truth):
        """|error| over sigma of the frames that say they know, (seq, x, y). Frame 0's own error is in all of them."""
        first = numpy.array(lines[0]["sigma_drift_px"])
        out = []
        for line, true in zip(lines, truth):
            if not is_sure(line) or line["seq"] == 0:
                continue
            sigma = numpy.sqrt(numpy.array(line["sigma_drift_px"])**2 + first**2
                               + numpy.array(line["sigma_drift_sys_px"])**2)
            off = (numpy.array(line["drift_px"]) - (true - truth[0])) / sigma
            out.append((line["seq"], *off))
        return numpy.array(out).reshape(-1, 3)

    def assert_drift_is_honest(self, lines, truth):
        """No frame that says it knows is off by more than its sigma allows. The share of such frames."""
        off = self.sigmas_off(lines, truth)
        wrong = [(int(seq), round(x, 1), round(y, 1), lines[int(seq)]["drift_px"],
                  [round(v, 2) for v in truth[int(seq)] - truth[0]], lines[int(seq)]["sigma_drift_px"])
                 for seq, x, y in off if max(abs(x), abs(y)) > MOST_SIGMAS]
        self.assertFalse(wrong, f"{len(wrong)} of {len(off)} sure frames are wrong; seq, sigmas, measured, true, sigma: "
                                f"{wrong[:6]}")
        return len(off) / (len(lines) - 1)

    def assert_z_is_real(self, lines, truth, most=1.5, least=0.5):
        """Errors scatter as the sigmas say, about their mean: that is frame 0's own error."""
        sure = [i for i, line in enumerate(lines) if is_sure(line) and i > 0]
        self.assertGreaterEqual(len(sure), 20, "too few frames are sure for a z-score")
        off = numpy.array([lines[i]["drift_px"] for i in sure]) - truth[sure]
        z = (off - off.mean(axis=0)) / numpy.array([lines[i]["sigma_drift_px"] for i in sure])
        deviation = float(numpy.sqrt(numpy.mean(numpy.var(z, axis=0))))
        self.assertTrue(least <= deviation <= most, f"z {deviation:.2f}")

    def assert_spots_are_true(self, lines, spacings_nm):
        """Every confirmed spot is one of these; how many frames show one."""
        frames = 0
        for line in lines:
            seen = False
            for spot in line["spots"]:
                if not spot["confirmed"]:
                    continue
                d, order = spot["d_nm"], spot["harmonic_order"]
                sigma = numpy.hypot(spot["sigma_d_nm"], spot["sigma_d_sys_nm"])
                off = min((abs(d - true) / sigma for true in spacings_nm), default=numpy.inf)
                self.assertLessEqual(off, MOST_SIGMAS, f"frame {line['seq']}: confirmed d = {d} nm, sigma {sigma:.2g}, "
                                                       f"order {order}; true: {spacings_nm}; {spot}")
                seen = True
            frames += seen
        return frames
