# SPDX-License-Identifier: GPL-3.0-or-later
"""One family of planes and nothing else of the lattice: on film, which also fixes the drift along them, and alone, where
nothing in the frame tells how far the specimen has moved along its planes, nor by how many of them across."""
import unittest

import bad_input as bad
import numpy

PLANES = ((14.3, 0.6, 0.2, 0.4),)


class OneSpotOnly(bad.Honesty):
    def test_on_film_both_directions_are_known(self):
        truth = bad.path(80, seed=31)
        specimen = bad.Specimen(bad.Film(30), PLANES)
        lines = bad.analyze(bad.exposed([specimen.at(shift) for shift in truth], 20, seed=32))
        self.assertGreater(self.assert_spots_are_true(lines, specimen.spacings_nm()), 70)
        self.assertGreater(self.assert_drift_is_honest(lines, truth), 0.9)
        self.assert_z_is_real(lines, truth)

    def test_alone_the_direction_along_the_planes_is_not_claimed(self):
        truth = bad.path(80, seed=33)
        specimen = bad.Specimen(None, PLANES)
        lines = bad.analyze(bad.exposed([specimen.at(shift) for shift in truth], 20, seed=34))
        self.assertGreater(self.assert_spots_are_true(lines, specimen.spacings_nm()), 70)
        self.assert_drift_is_honest(lines, truth)


if __name__ == "__main__":
    unittest.main()
