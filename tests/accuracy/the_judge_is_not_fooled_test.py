# SPDX-License-Identifier: GPL-3.0-or-later
"""What the accuracy suite must notice, on files made here: errors that grow, errors too small to be honest, sigmas that are
not, hops that nobody flagged, frames that are missing, and measurements that know the truth."""
import copy
import unittest

import numpy as np

import judge
import play
from series import Series

SERIES = Series("particle", "walk", 20.0, 512, 300)
BOUND_PX = (0.02, 0.015)
BOUND_D = 1e-4  # of d, relative
HEADER = {"pixel_size_nm": 0.03, "width": 512, "height": 512, "gain_adu_per_e": 20.0, "dose_e_per_px": 20.0}


def files(scale=1.0, d_scale=1.3, stated=None):
    """Truth, and measurements whose errors are `scale` (drift) and `d_scale` times the bounds."""
    random = np.random.default_rng(5)
    truth, measured = {}, {}
    drift = np.cumsum(random.normal(0, 0.7, (SERIES.frames, 2)), axis=0)
    for n in range(SERIES.frames):
        reflection = {"domain": "P2", "hkl": [0, 0, 2], "g_per_nm": [1.8, 0.0], "d_nm": 1 / 1.8, "amplitude": 0.06,
                      "visible": True}
        truth[n] = {"drift_px": list(drift[n] - drift[0]), "reflections": [reflection],
                    "domains": [{"name": "P2", "fraction": 0.7}]}
        if n % 20 == 0:
            truth[n]["bound_drift_px"] = list(BOUND_PX)
            reflection |= {"bound_d_nm": BOUND_D / 1.8, "bound_d_lattice_nm": 0.5 * BOUND_D / 1.8}
        error = scale * random.normal(0, BOUND_PX, 2) * (n > 0)
        d_nm = (1 + d_scale * random.normal(0, BOUND_D)) / 1.8
        measured[n] = {"seq": n, "drift_px": list(np.add(truth[n]["drift_px"], error)), "drift_state": "locked",
                       "cell_ambiguous": False, "sigma_drift_px": [b * (stated or scale) for b in BOUND_PX],
                       "sigma_drift_sys_px": [0.0, 0.0], "mean_counts": 320.0,
                       "spots": [{"id": 1, "g_per_nm": [1.8, 0.0], "d_nm": d_nm, "sigma_d_nm": d_scale * BOUND_D / 1.8,
                                  "sigma_d_sys_nm": 1e-4, "confirmed": True, "amplitude": 0.075}]}
    return truth, measured


def verdicts(truth, measured):
    return {q.name: q for q in judge.Judge(SERIES, HEADER, truth, measured).judge()}


class TheJudge(unittest.TestCase):
    def test_passes_errors_near_the_bound(self):
        told = verdicts(*files(1.1))
        self.assertAlmostEqual(told["drift"].value, 1.1, delta=0.1)  # 300 frames, two axes: 3 %
        self.assertAlmostEqual(told["d random"].value, 1.3, delta=0.15)
        self.assertEqual([q.name for q in told.values() if q.verdict not in ("ok", "-")], [])

    def test_sees_errors_that_grow_by_a_third(self):
        told = verdicts(*files(1.1 * 1.3))
        self.assertEqual(told["drift"].verdict, "MISS")
        self.assertEqual(told["drift z"].verdict, "ok")
        self.assertEqual(verdicts(*files(d_scale=1.8))["d random"].verdict, "MISS")

    def test_does_not_believe_errors_below_the_bound(self):
        self.assertEqual(verdicts(*files(0.7))["drift"].verdict, "BEATEN")
        self.assertEqual(verdicts(*files(d_scale=0.7))["d random"].verdict, "BEATEN")

    def test_sees_sigmas_that_are_too_small_or_too_large(self):
        self.assertEqual(verdicts(*files(1.1, stated=0.7))["drift z"].verdict, "MISS")
        self.assertEqual(verdicts(*files(1.1, stated=2.0))["drift z"].verdict, "MISS")

    def test_counts_hops_unless_they_are_flagged(self):
        truth, measured = files()
        for n in range(100, 103):
            measured[n]["drift_px"][0] += 19.0  # more than half of 18.5 px
        self.assertEqual(verdicts(truth, measured)["unflagged hops"].value, 3)
        for n in range(100, 103):
            measured[n]["cell_ambiguous"] = True
        self.assertEqual(verdicts(truth, measured)["unflagged hops"].value, 0)

    def test_does_not_let_flags_buy_a_small_error(self):
        truth, measured = files()
        for n in range(1, 300, 10):
            measured[n]["drift_state"] = "weak"
        self.assertEqual(verdicts(truth, measured)["locked share"].verdict, "MISS")

    def test_sees_an_offset_beyond_its_stated_size(self):
        truth, measured = files()
        for entry in measured.values():
            entry["spots"][0]["d_nm"] *= 1.0006
        self.assertEqual(verdicts(truth, measured)["d offset over sigma_d_sys"].verdict, "MISS")

    def test_compares_no_spot_that_could_be_another_reflection(self):
        truth, measured = files()
        for entry in truth.values():
            other = copy.deepcopy(entry["reflections"][0]) | {"hkl": [0, 0, 9], "g_per_nm": [1.95, 0.0]}
            entry["reflections"].append(other)
        told = verdicts(truth, measured)
        self.assertNotIn("d random", told)
        self.assertEqual(told["d: reflections"].verdict, "MISS")

    def test_takes_a_sum_of_frames_for_what_it_is(self):
        truth, measured = files()
        random = np.random.default_rng(6)
        for n in range(20, 300, 4):  # of 16 frames: a quarter of the bound
            spot = dict(measured[n]["spots"][0], d_nm=(1 + 1.2 * random.normal(0, BOUND_D / 4)) / 1.8,
                        sigma_d_nm=1.2 * BOUND_D / 4 / 1.8)
            measured[n]["sum"] = {"effective_seq": n - 7.5, "frames_added": 16, "spots": [spot]}
        self.assertAlmostEqual(verdicts(truth, measured)["sum: d random"].value, 1.2, delta=0.3)  # 70 sums: 9 %
        self.assertAlmostEqual(verdicts(truth, measured)["d amplitude over the true one"].value, 1.0, delta=1e-9)

    def test_compares_a_lattices_spacings_with_the_lattices_bound_and_filtered_ones_with_none(self):
        truth, measured = files()
        random = np.random.default_rng(7)
        for entry in measured.values():
            d_nm = (1 + 1.2 * random.normal(0, 0.5 * BOUND_D)) / 1.8
            entry["spots"][0] |= {"d_lattice_nm": d_nm, "sigma_d_lattice_nm": 0.6 * BOUND_D / 1.8,
                                  "d_track_nm": 1 / 1.8, "sigma_d_track_nm": 0.1 * BOUND_D / 1.8}
        told = verdicts(truth, measured)
        self.assertAlmostEqual(told["d by the lattice random"].value, 1.2, delta=0.15)
        self.assertEqual(told["d filtered random, over a frame's bound"].verdict, "-")

    def test_compares_no_random_error_of_a_spot_that_is_said_to_be_two_crystals(self):
        truth, measured = files(d_scale=9.0)
        for entry in measured.values():
            entry["spots"][0]["overlapped"] = True
        told = verdicts(truth, measured)
        self.assertNotIn("d random", told)
        self.assertIn("d offset over sigma_d_sys", told)

    def test_asks_that_another_seed_gives_about_the_same(self):
        def of(seed, value):
            return judge.Quantity("particle/walk/20/512" + seed, "drift", value, count=600)
        self.assertEqual(judge.compare_seeds([of("", 1.1), of("/seed77", 1.15)])[0].verdict, "ok")
        self.assertEqual(judge.compare_seeds([of("", 1.1), of("/seed77", 1.6)])[0].verdict, "MISS")


class TheFiles(unittest.TestCase):
    def assert_broken(self, change, text):
        truth, measured = files()
        change(measured)
        with self.assertRaisesRegex(play.Broken, text):
            play.check_files(SERIES, truth, measured)

    def test_are_taken_when_nothing_is_wrong(self):
        play.check_files(SERIES, *files())

    def test_must_have_every_frame(self):
        self.assert_broken(lambda measured: measured.pop(17), "missing .17")

    def test_may_list_a_frame_as_lost(self):
        truth, measured = files()
        measured[17] = {"seq": 17, "lost": "sequence_gap"}
        play.check_files(SERIES, truth, measured)

    def test_must_not_use_words_of_the_truth(self):
        self.assert_broken(lambda measured: measured[5]["spots"][0].update(hkl=[0, 0, 2]), "words of the truth: hkl")

    def test_must_not_have_the_very_drift_of_the_truth(self):
        truth, _ = files()

        def copy_truth(measured):
            for n in range(20):
                measured[n]["drift_px"] = truth[n]["drift_px"]
        self.assert_broken(copy_truth, "the very drift")


if __name__ == "__main__":
    unittest.main()
