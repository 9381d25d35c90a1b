# SPDX-License-Identifier: GPL-3.0-or-later
"""Running sums of scanned frames (the scenario `scanned`): each frame is sheared and stretched by its own velocity, up to
0.8 %, and the velocity changes within a sum. Corrected by the mean velocity, spacings and angles are those of the
specimen, and the sigmas say how well that mean is known."""
import dataclasses
import pathlib
import re
import unittest

import numpy
import play

SCENARIO = pathlib.Path(__file__).parents[2] / "sim/scenarios/scanned.toml"
K = 16


@dataclasses.dataclass(frozen=True)
class Scanned:
    """As a series of series.py: what play.py asks of one."""
    frames: int = 240
    size: int = 512
    bin: int = 1
    patterned: bool = False

    def scenario(self):
        flat = "scan_line_time_s = 0.004\ndark_pattern_adu = 0.0\ngain_pattern_percent = 0.0\nhot_pixels = 0\n"
        return re.sub(r"scan_line_time_s = 0.004\n", flat, SCENARIO.read_text(), count=1)

    def more_keys(self):
        return f'[detector.sum]\nframes = {K}\nwhen = "always"\n'


def unscanned(g, affine):
    """g as it was seen: true g = A^T g as seen."""
    return numpy.linalg.solve(numpy.array(affine).T, g)


class SumsOfScannedFrames(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        header, truth, measured = play.play(Scanned(), play.programs_folder())
        assert header["scan_line_time_s"] == 0.004
        cls.samples = {}  # hkl -> [(seq, error, error uncorrected, random, systematic, turned), ...], relative; rad
        cls.sums = [(n, m["sum"]) for n, m in measured.items() if m.get("sum")]
        for n, one in cls.sums:
            for spot in one["spots"]:
                if not spot["confirmed"]:
                    continue
                g = numpy.array(spot["g_per_nm"])
                reflections = truth[round(one["effective_seq"])]["reflections"]
                r = min(reflections, key=lambda r: min(numpy.hypot(*(g - r["g_per_nm"])), numpy.hypot(*(g + r["g_per_nm"]))))
                true = numpy.array(r["g_per_nm"]) * numpy.sign(g @ r["g_per_nm"])
                if numpy.hypot(*(g - true)) > 0.05:
                    continue
                seen = unscanned(g, one["scan_affine"])
                d = spot["d_nm"]
                cls.samples.setdefault(tuple(r["hkl"]), []).append(
                    (n, d / r["d_nm"] - 1, 1 / numpy.hypot(*seen) / r["d_nm"] - 1, spot["sigma_d_nm"] / d,
                     spot["sigma_d_sys_nm"] / d, numpy.cross(true, g) / (true @ true)))
        cls.samples = {name: numpy.array(rows) for name, rows in cls.samples.items() if len(rows) >= 20}

    def test_every_sum_says_by_what_it_was_corrected(self):
        self.assertGreater(len(self.sums), 40)
        for n, one in self.sums:
            self.assertEqual(one["scan_affine"][0][0], 1.0, n)
        stretch = [abs(one["scan_affine"][1][1] - 1) + abs(one["scan_affine"][0][1]) for _, one in self.sums]
        self.assertGreater(max(stretch), 4e-3)

    def test_the_mean_velocity_takes_off_what_the_scan_did(self):
        self.assertGreaterEqual(len(self.samples), 4)
        for name, rows in self.samples.items():
            error, uncorrected, random, sys = (rows[:, i] for i in (1, 2, 3, 4))
            z = error / numpy.hypot(random, sys)
            print(f"{name}: d off by {1e6 * numpy.sqrt(numpy.mean(error**2)):.0f} ppm rms (uncorrected "
                  f"{1e6 * numpy.sqrt(numpy.mean(uncorrected**2)):.0f}), sigma {1e6 * random.mean():.0f} random, "
                  f"{1e6 * sys.mean():.0f} sys; z {numpy.sqrt(numpy.mean(z**2)):.2f}, worst {abs(z).max():.1f}, "
                  f"turned by {1e3 * numpy.sqrt(numpy.mean(rows[:, 5]**2)):.2f} mrad, {len(rows)} sums")
        everything = numpy.concatenate(list(self.samples.values()))
        corrected, uncorrected = (numpy.sqrt(numpy.mean(everything[:, i]**2)) for i in (1, 2))
        print(f"all: {1e6 * corrected:.0f} ppm rms, uncorrected {1e6 * uncorrected:.0f}")
        self.assertLess(corrected, 0.3 * uncorrected)

    def test_its_sigma_covers_what_remains(self):
        z = numpy.concatenate([rows[:, 1] / numpy.hypot(rows[:, 3], rows[:, 4]) for rows in self.samples.values()])
        self.assertLess(numpy.sqrt(numpy.mean(z**2)), 1.25)
        self.assertLess(abs(z).max(), 5)
        # And is not large for nothing: a tenth of a pixel a line is what is said of a velocity nobody knows.
        systematic = numpy.concatenate([rows[:, 4] for rows in self.samples.values()])
        self.assertLess(numpy.median(systematic), 1e-3)


if __name__ == "__main__":
    unittest.main()
