# SPDX-License-Identifier: GPL-3.0-or-later
"""Steady drift by two fields' widths over film and lattice."""
import unittest

import bad_input as bad


class SteadyDrift(bad.Honesty):
    def test_steadily_on_film_and_lattice(self):
        seed = 73
        truth = bad.path(130, seed=seed, velocity=(4.0, -2.5), walk=0.3)  # 520 x 325 px, the field is 256
        specimen = bad.Specimen(bad.Film(70, canvas=2048), bad.LAYERED)
        lines = bad.analyze(bad.exposed([specimen.at(shift) for shift in truth], 20, seed=seed + 1))
        self.assertGreater(self.assert_drift_is_honest(lines, truth), 0.5)
        self.assert_spots_are_true(lines, specimen.spacings_nm())


if __name__ == "__main__":
    unittest.main()
