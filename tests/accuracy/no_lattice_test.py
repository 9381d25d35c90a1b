# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames without any lattice: film alone, at two doses, and nothing at all."""
import unittest

import bad_input as bad
import numpy


class NoLattice(bad.Honesty):
    def test_film_has_drift_and_no_spots(self):
        truth = bad.path(120, seed=21)
        film = bad.Specimen(bad.Film(20))
        expected = [film.at(shift) for shift in truth]
        for electrons in (40, 20):
            with self.subTest(electrons=electrons):
                lines = bad.analyze(bad.exposed(expected, electrons, seed=22))
                self.assertEqual(self.assert_spots_are_true(lines, []), 0)
                self.assertGreater(self.assert_drift_is_honest(lines, truth), 0.9)
                self.assert_z_is_real(lines, truth)

    def test_an_empty_beam_is_never_locked(self):
        lines = bad.analyze(bad.exposed([numpy.ones((256, 256))] * 100, 20, seed=23))
        self.assertEqual(self.assert_spots_are_true(lines, []), 0)
        locked = [line["seq"] for line in lines[1:] if line["drift_state"] == "locked"]
        self.assertEqual(locked, [], "noise has no drift")
        self.assertTrue(all(not line["sum"] or not line["sum"]["spots"] or
                            not any(s["confirmed"] for s in line["sum"]["spots"]) for line in lines))


if __name__ == "__main__":
    unittest.main()
