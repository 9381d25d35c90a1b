# SPDX-License-Identifier: GPL-3.0-or-later
"""The specimen goes further than the field is wide: steadily, and in one step after which nothing is left of what was."""
import unittest

import bad_input as bad
import numpy


class DriftBeyondTheField(bad.Honesty):
    def steadily(self, waves, seed):
        truth = bad.path(130, seed=seed, velocity=(4.0, -2.5), walk=0.3)  # 520 x 325 px, the field is 256
        specimen = bad.Specimen(bad.Film(70, canvas=2048), waves)
        lines = bad.analyze(bad.exposed([specimen.at(shift) for shift in truth], 20, seed=seed + 1))
        self.assertGreater(self.assert_drift_is_honest(lines, truth), 0.5)
        self.assert_spots_are_true(lines, specimen.spacings_nm())

    def test_steadily_on_film(self):
        self.steadily((), 71)

    def in_one_step(self, waves, step, seed):
        truth = bad.path(120, seed=seed, velocity=(0.1, 0.0), walk=0.1)
        truth[40:] += step
        specimen = bad.Specimen(bad.Film(70, canvas=2048), waves)
        lines = bad.analyze(bad.exposed([specimen.at(shift) for shift in truth], 20, seed=seed + 1))
        self.assert_drift_is_honest(lines, truth)
        self.assertFalse(any(bad.is_sure(line) for line in lines[40:60]),
                         [line["seq"] for line in lines[40:60] if bad.is_sure(line)])
        self.assert_spots_are_true(lines, specimen.spacings_nm())

    def test_in_one_step_on_film(self):
        self.in_one_step((), (300.0, 40.0), 75)

    def test_in_one_step_on_film_and_lattice(self):
        self.in_one_step(bad.LAYERED, (300.0, 40.0), 77)


if __name__ == "__main__":
    unittest.main()
