# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator's P2 particle at 0.3 e/px (the scenario low_dose, further down): single frames show next to nothing, the
running sum of 16 shows the lattice, with sixteen times the electrons' error and a sigma that says so."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import bad_input as bad
import numpy

SIM_WORLD = os.environ["SIM_WORLD"]
SCENARIO = pathlib.Path(__file__).parents[2] / "sim/scenarios/low_dose.toml"
FRAMES, K = 480, 16


def matched(spots, reflections):
    """(name of the reflection, spot) of the confirmed spots that are nearest to a reflection's place, either mate."""
    for spot in spots:
        g = numpy.array(spot["g_per_nm"])
        if not spot["confirmed"]:
            continue
        far = {tuple(r["hkl"]): min(numpy.hypot(*(g - r["g_per_nm"])), numpy.hypot(*(g + r["g_per_nm"]))) for r in reflections}
        name = min(far, key=far.get)
        yield name, far[name], spot, next(r["d_nm"] for r in reflections if tuple(r["hkl"]) == name)


class LowDosesAreSummed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory(prefix="latticed-test-") as folder:
            scenario = pathlib.Path(folder, "low.toml")
            text, changed = re.subn(r"dose_e_per_px = [\d.]+", "dose_e_per_px = 0.3", SCENARIO.read_text())
            assert changed == 1
            scenario.write_text(text)
            subprocess.run([SIM_WORLD, "--scenario", scenario, "--movie", f"{folder}/low.mrc", "--truth",
                            f"{folder}/truth.jsonl", "--frames", str(FRAMES)], check=True, capture_output=True, timeout=600)
            run = subprocess.run([bad.LATTICED, "analyze", f"{folder}/low.mrc"], check=True, capture_output=True, text=True,
                                 timeout=600)
            cls.lines = [json.loads(line) for line in run.stdout.splitlines()]
            truth = [json.loads(line) for line in pathlib.Path(folder, "truth.jsonl").read_text().splitlines()]
        cls.truth = {line["frame"]: line for line in truth if "frame" in line and "reflections" in line}

    def test_sums_come_at_every_fourth_of_their_frames_and_say_which(self):
        sums = [(line["seq"], line["sum"]) for line in self.lines if line["sum"]]
        self.assertGreater(len(sums), 0.75 * FRAMES / (K / 4))  # the first when single frames have proved poor
        for seq, one in sums:
            self.assertEqual(one["last_seq"], seq)
            self.assertGreaterEqual(one["first_seq"], seq - K + 1)  # frames in doubt are left out
            self.assertEqual(one["frames_added"] + one["frames_left_out"], K)
            self.assertAlmostEqual(one["effective_seq"], seq - (K - 1) / 2, delta=2)
        self.assertGreater(numpy.mean([one["frames_added"] for _, one in sums]), 0.9 * K)

    def test_a_sum_shows_the_lattice_that_single_frames_do_not(self):
        single = numpy.mean([sum(s["confirmed"] for s in line["spots"]) for line in self.lines[60:]])
        summed = numpy.mean([sum(s["confirmed"] for s in line["sum"]["spots"]) for line in self.lines[60:] if line["sum"]])
        self.assertLess(single, 3)
        self.assertGreater(summed, 8)

    def test_errors_fall_as_the_root_of_the_frames_and_sigmas_say_so(self):
        reflections = self.truth[0]["reflections"]
        single, summed = {}, {}
        for line in self.lines[60:]:
            truth = self.truth[line["seq"]]["reflections"]
            for name, far, spot, d in matched(line["spots"], truth):
                if far < 0.15:
                    single.setdefault(name, []).append((spot["d_nm"] - d, spot["sigma_d_nm"]))
        for line in [line for line in self.lines[60:] if line["sum"]][::4]:  # those that share no frame
            one = line["sum"]
            truth = self.truth[round(one["effective_seq"])]["reflections"]
            for name, far, spot, d in matched(one["spots"], truth):
                # No reflection that is not there, but for the film's own speckle, which is no better than chance.
                self.assertLess(far, 0.15, (line["seq"], spot))
                summed.setdefault(name, []).append((spot["d_nm"] - d, spot["sigma_d_nm"], spot["snr"]))
        self.assertEqual(len(reflections), len({tuple(r["hkl"]) for r in reflections}))
        # The planes are seen in every frame as well: film and scale offset all of a series alike.
        one, sixteen = numpy.array(single[(0, 0, 2)]), numpy.array(summed[(0, 0, 2)])
        ratio = one[:, 0].std() / sixteen[:, 0].std()
        print(f"d of (002) at 0.3 e/px: one frame {one[:, 0].std():.1e} nm, sum of {K}: {sixteen[:, 0].std():.1e} nm, "
              f"ratio {ratio:.2f}; sigma says {one[:, 1].mean() / sixteen[:, 1].mean():.2f}")
        # Above 4 goes what the sum sees of the row's higher orders, which single frames do not.
        self.assertTrue(3.4 < one[:, 1].mean() / sixteen[:, 1].mean() < 6.5)
        # 26 sums: three standard errors of a deviation are 40 %. Above 4 goes what a single frame at SNR 10 errs beyond its
        # sigma.
        self.assertTrue(2.8 < ratio < 8.0, ratio)
        z = [(numpy.array(series)[:, 0] - numpy.mean(numpy.array(series)[:, 0])) / numpy.array(series)[:, 1]
             for series in summed.values() if len(series) > 15 and numpy.mean(numpy.array(series)[:, 2]) > 8]
        spread = numpy.sqrt(numpy.mean(numpy.concatenate(z)**2))
        print(f"z of d in the sums, {len(z)} reflections: {spread:.2f}")
        self.assertGreaterEqual(len(z), 6)
        self.assertTrue(0.8 < spread < 1.25, spread)


if __name__ == "__main__":
    unittest.main()
