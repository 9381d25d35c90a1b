# SPDX-License-Identifier: GPL-3.0-or-later
"""The short form of tests/bench/validate: a few series of 80 frames, so that errors that grow are seen at once. Same
bounds, same judge; the limits leave room for what chance does in so few frames (a ratio is known to 6 %)."""
import os
import unittest

import judge
import play
from series import Series

SLACK = 1.15  # on the goals of z, offsets and d
# Drift: root mean square error over the bound. 30 % more than what is reached, and each of them fails.
SERIES = [
    (Series("particle", "walk", 20.0, 512, 80), 1.3),
    (Series("particle", "vibration", 2.0, 512, 80), 1.4),
    (Series("lattice", "walk", 20.0, 512, 80), 1.4),
    (Series("swelling", "walk", 20.0, 512, 80), 1.75),
    (Series("particle", "jumps", 20.0, 512, 80), 1.4),
    (Series("lattice", "jumps", 20.0, 512, 80), 1.4),
    (Series("particle-nofilm", "ramp", 20.0, 512, 80), 1.2),
]
MOST_D = 1.5  # of the random error of d over its bound, of rows and of lattices: the goal itself
SANITIZED = bool(os.environ.get("LATTICED_SANITIZED"))  # a tenth as fast: one series then


class ErrorsStayNearTheBound(unittest.TestCase):
    def test_of_every_short_series(self):
        for series, most in SERIES[:1] if SANITIZED else SERIES:
            with self.subTest(series.name):
                told = {q.name: q for q in judge.Judge(series, *play.play(series, play.programs_folder()), SLACK).judge()}
                for q in told.values():
                    print(f"{q.series:28} {q.name:34} {q.value:10.3g} {q.goal:14} {q.verdict}")
                self.assertLessEqual(told["drift"].value, most)
                self.assertLessEqual(told["d random"].value, MOST_D)
                self.assertLessEqual(told["d by the lattice random"].value, MOST_D)
                wrong = [f"{q.name} {q.value:.3g}, goal {q.goal}: {q.verdict}" for q in told.values()
                         if q.verdict == "BEATEN" or (q.verdict == "MISS" and q.name not in ("drift", "d random", "d by the lattice random"))]
                self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
