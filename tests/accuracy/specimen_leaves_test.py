# SPDX-License-Identifier: GPL-3.0-or-later
"""A particle in vacuum leaves the field, is away, and comes back, near where it was and elsewhere."""
import unittest

import bad_input as bad
import numpy


class SpecimenLeaves(bad.Honesty):
    def check(self, back, away, seed):
        frames_out = 25
        truth = numpy.concatenate([
            bad.path(40, seed=seed, velocity=(0, 0), walk=0.15),
            numpy.linspace((0, 0), (260, 60), frames_out),
            numpy.tile((260.0, 60.0), (away, 1)),
            numpy.linspace((260, 60), back, frames_out),
            numpy.array(back) + bad.path(40, seed=seed + 1, velocity=(0, 0), walk=0.15)])
        specimen = bad.Specimen(None, bad.LAYERED, bad.disc(-5, 8, 70), 0.3)
        lines = bad.analyze(bad.exposed([specimen.at(shift) for shift in truth], 20, seed=seed + 2))
        self.assert_spots_are_true(lines, specimen.spacings_nm())
        self.assert_drift_is_honest(lines, truth)
        gone = lines[40 + frames_out + 6:40 + frames_out + away]
        self.assertFalse([line["seq"] for line in gone if line["drift_state"] == "locked"], "vacuum has no drift")
        self.assertFalse([line["seq"] for line in gone if any(s["confirmed"] for s in line["spots"])])
        return lines

    def test_spots_of_what_is_left_of_it_are_true(self):
        """The last fringes of a crystal on film, cut off by the field's edge, and the film without it."""
        for angle, seed, electrons in ((4.88, 13, 20), (6.16, 9, 40), (1.01, 11, 20)):
            away = (240 * numpy.cos(angle), 240 * numpy.sin(angle))
            truth = numpy.concatenate([numpy.zeros((6, 2)), numpy.linspace((0, 0), away, 30), numpy.linspace(away, (0, 0), 30)])
            specimen = bad.Specimen(bad.Film(seed), bad.LAYERED, bad.disc(-5, 8, 70), 0.3)
            lines = bad.analyze(bad.exposed([specimen.at(shift) for shift in truth], electrons, seed=1000 + seed))
            self.assertGreater(self.assert_spots_are_true(lines, specimen.spacings_nm()), 20)

    def test_and_comes_back_to_where_it_was(self):
        lines = self.check((3.0, -2.0), 15, 81)
        self.assertTrue(all(bad.is_sure(line) for line in lines[-20:]),
                        [line["seq"] for line in lines[-20:] if not bad.is_sure(line)])

    def test_and_comes_back_elsewhere(self):
        self.check((40.0, 25.0), 15, 83)

    def test_and_stays_away_for_long(self):
        self.check((40.0, 25.0), 80, 85)


if __name__ == "__main__":
    unittest.main()
