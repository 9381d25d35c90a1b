# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames at the detector's ceiling: a stretch that is not measured, and bright grains that clip a few pixels."""
import unittest

import bad_input as bad
import numpy

CEILING = 65535


class Saturated(bad.Honesty):
    def movie(self, gain, seed):
        truth = bad.path(90, seed=seed)
        specimen = bad.Specimen(bad.Film(50), bad.LAYERED, bad.disc(10, -5, 80), 0.3)
        electrons = bad.exposed([specimen.at(shift) for shift in truth], 20, seed=seed + 1)
        counts = electrons * numpy.asarray(gain)[:, None, None]
        return specimen, truth, numpy.minimum(counts, CEILING).astype("u2")

    def test_an_overexposed_stretch_is_lost_and_what_follows_is_right(self):
        gain = numpy.full(90, 1500.0)
        gain[30:50] = 4000.0  # the brighter half of the particle clips
        specimen, truth, movie = self.movie(gain, 51)
        clipped = numpy.mean(movie == CEILING, axis=(1, 2))
        self.assertLess(max(clipped[:30].max(), clipped[50:].max()), 0.005)
        self.assertGreater(clipped[30:50].min(), 0.02)
        lines = bad.analyze(movie)
        for line in lines[30:50]:
            self.assertEqual((line["quality"], line["drift_state"], line["spots"]), ("saturated", "lost", []), line["seq"])
        self.assert_spots_are_true(lines, specimen.spacings_nm())
        self.assertTrue(all(bad.is_sure(line) for line in lines[55:]), [line["seq"] for line in lines if not bad.is_sure(line)])
        self.assert_drift_is_honest(lines, truth)
        self.assert_z_is_real(lines, truth)

    def test_a_few_clipped_pixels_cost_little(self):
        specimen, truth, movie = self.movie(numpy.full(90, 1600.0), 53)
        clipped = numpy.mean(movie == CEILING, axis=(1, 2))
        self.assertGreater(clipped.min(), 0.0005)
        self.assertLess(clipped.max(), 0.01)
        lines = bad.analyze(movie)
        self.assertEqual({line["quality"] for line in lines}, {"good"})
        self.assertGreater(self.assert_spots_are_true(lines, specimen.spacings_nm()), 80)
        self.assertGreater(self.assert_drift_is_honest(lines, truth), 0.9)
        self.assert_z_is_real(lines, truth)


if __name__ == "__main__":
    unittest.main()
