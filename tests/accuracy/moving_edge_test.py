# SPDX-License-Identifier: GPL-3.0-or-later
"""A beam stop that comes into the field, and a bright edge that sweeps over it, while the specimen drifts its own way.

The edge's own streak runs through the spectrum and over spots: none of its maxima may be confirmed as one, and d of what it
crosses must be covered by its sigma."""
import unittest

import bad_input as bad
import numpy


def bar(position, direction, size=256, width=50.0, edge=4.0):
    """1 in a bar across the field whose middle is `position` px from the centre along `direction` (rad)."""
    y, x = numpy.mgrid[:size, :size] - (size - 1) / 2
    along = x * numpy.cos(direction) + y * numpy.sin(direction) - position
    return 0.5 * (numpy.tanh((along + width / 2) / edge) - numpy.tanh((along - width / 2) / edge))


class MovingEdge(bad.Honesty):
    def movie(self, brightness, positions, seed, waves=bad.LAYERED):
        truth = bad.path(len(positions), seed=seed, velocity=(0.1, 0.05), walk=0.2)
        specimen = bad.Specimen(bad.Film(60), waves, None if not waves else bad.disc(10, -5, 90), 0.3)
        expected = []
        for shift, position in zip(truth, positions):
            cover = bar(position, 0.35)
            expected.append(specimen.at(shift) * (1 - cover) + brightness * cover)
        return specimen, truth, bad.exposed(expected, 20, seed=seed + 1)

    def check_spots(self, brightness, positions, seed, waves=bad.LAYERED):
        specimen, _, movie = self.movie(brightness, positions, seed, waves)
        return self.assert_spots_are_true(bad.analyze(movie), specimen.spacings_nm())

    def check_drift(self, brightness, positions, seed, least_sure, waves=bad.LAYERED):
        _, truth, movie = self.movie(brightness, positions, seed, waves)
        self.assertGreater(self.assert_drift_is_honest(bad.analyze(movie), truth), least_sure)

    IN_AND_OUT = numpy.concatenate([numpy.full(30, -200.0), numpy.linspace(-200, -60, 40), numpy.full(20, -60.0),
                                    numpy.linspace(-60, -200, 40)])
    OVER_THE_FIELD = numpy.linspace(-250, 250, 120)

    def test_spots_while_a_beam_stop_comes_in_and_goes(self):
        self.assertGreater(self.check_spots(0.0, self.IN_AND_OUT, 61), 120)

    def test_drift_while_a_beam_stop_comes_in_and_goes(self):
        self.check_drift(0.0, self.IN_AND_OUT, 61, 0.4)

    def test_spots_while_a_bright_edge_sweeps_over_the_field(self):
        self.assertGreater(self.check_spots(3.0, self.OVER_THE_FIELD, 63), 100)

    def test_spots_while_a_bright_edge_sweeps_over_film(self):
        self.assertEqual(self.check_spots(3.0, self.OVER_THE_FIELD, 65, waves=()), 0)

    def test_drift_while_a_bright_edge_sweeps_over_the_field(self):
        self.check_drift(3.0, self.OVER_THE_FIELD, 63, 0.3)

    def test_drift_while_a_bright_edge_sweeps_over_film(self):
        for brightness, seed in ((3.0, 65), (6.0, 165), (0.0, 175)):
            with self.subTest(brightness=brightness):
                self.check_drift(brightness, self.OVER_THE_FIELD, seed, 0.5, waves=())


if __name__ == "__main__":
    unittest.main()
