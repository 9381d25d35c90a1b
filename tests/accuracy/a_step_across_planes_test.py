# SPDX-License-Identifier: GPL-3.0-or-later
"""One family of planes and nothing else, displaced by more than a plane in one step: nothing in the frame tells by how
many."""
import unittest

import bad_input as bad
import numpy

PLANES = ((14.3, 0.6, 0.2, 0.4),)


class AStepAcrossPlanes(bad.Honesty):
    def test_alone_a_step_by_half_a_plane_and_more_is_not_claimed(self):
        truth = bad.path(60, seed=35, velocity=(0, 0), walk=0.05)
        across = numpy.array([numpy.cos(PLANES[0][1]), numpy.sin(PLANES[0][1])])
        truth[30:] += 1.7 * PLANES[0][0] * across
        specimen = bad.Specimen(None, PLANES)
        lines = bad.analyze(bad.exposed([specimen.at(shift) for shift in truth], 20, seed=36))
        self.assert_drift_is_honest(lines, truth)


if __name__ == "__main__":
    unittest.main()
