# SPDX-License-Identifier: GPL-3.0-or-later
"""A crystal that fills a corner of the field, half of it under the taper: on film and beside vacuum."""
import unittest

import bad_input as bad


class LatticeInACorner(bad.Honesty):
    def check(self, film, electrons, seed):
        truth = bad.path(100, seed=seed, velocity=(0.05, 0.02), walk=0.2)
        specimen = bad.Specimen(film, bad.LAYERED, bad.corner(-10, -10), 0.3)
        lines = bad.analyze(bad.exposed([specimen.at(shift) for shift in truth], electrons, seed=seed + 1))
        self.assertGreater(self.assert_spots_are_true(lines, specimen.spacings_nm()), 80)
        self.assertGreater(self.assert_drift_is_honest(lines, truth), 0.8)
        self.assert_z_is_real(lines, truth)

    def test_on_film(self):
        self.check(bad.Film(40), 40, 41)

    def test_beside_vacuum(self):
        self.check(None, 40, 43)


if __name__ == "__main__":
    unittest.main()
