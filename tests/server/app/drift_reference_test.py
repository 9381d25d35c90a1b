# SPDX-License-Identifier: GPL-3.0-or-later
"""A drifting lattice of known path: `latticed analyze` against scikit-image's cross-correlation.

usage: drift_reference_test.py LATTICED; exit 77 (skipped) where a module is missing."""
import json
import subprocess
import sys
import tempfile

try:
    import mrcfile
    import numpy
    from skimage.registration import phase_cross_correlation
except ImportError as missing:
    print(f"SKIPPED: {missing}")
    sys.exit(77)

LATTICED = sys.argv[1]
SIZE, FRAMES = 256, 40
failures = 0


def scene(shift, film):
    """Expected electrons, 1 = mean: film everywhere, a particle with three rows of planes."""
    y, x = numpy.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    x, y = x - shift[0], y - shift[1]
    image = numpy.ones((SIZE, SIZE))
    for fx, fy, contrast, phase in film:
        image += contrast * numpy.cos(2 * numpy.pi * (fx * x + fy * y) + phase)
    radius = 80 * (1 + 0.15 * numpy.cos(2 * numpy.arctan2(y, x)))
    mask = 0.5 * (1 + numpy.tanh((radius - numpy.hypot(x, y)) / 3))
    image += 0.3 * mask
    for period, angle, contrast in ((26.65, 0.3, 0.2), (12.25, 1.66, 0.1), (12.25, -1.06, 0.1)):
        image += mask * contrast * numpy.cos(
            2 * numpy.pi * (x * numpy.cos(angle) + y * numpy.sin(angle)) / period + angle)
    return numpy.clip(image, 0, None)


def rms(errors):
    """About their mean: what is common to all frames is frame 0's own error."""
    return float(numpy.sqrt(numpy.mean(numpy.sum((errors - errors.mean(axis=0))**2, axis=1))))


random = numpy.random.default_rng(5)
film = [(r * numpy.cos(a), r * numpy.sin(a), 0.006, p) for r, a, p in zip(
    random.uniform(0.01, 0.1, 60), random.uniform(0, numpy.pi, 60), random.uniform(0, 6.28, 60))]
path = numpy.cumsum(random.normal([0.2, -0.1], 0.3, (FRAMES, 2)), axis=0)
path -= path[0]
still = [scene(shift, film) for shift in path]
for electrons in (40, 10, 2):
    movie = numpy.array([random.poisson(electrons * image) for image in still], dtype="u2")
    with tempfile.TemporaryDirectory() as folder:
        with mrcfile.new(f"{folder}/movie.mrc") as file:
            file.set_data(movie)
            file.set_image_stack()
        run = subprocess.run([LATTICED, "analyze", f"{folder}/movie.mrc"], capture_output=True,
                             text=True, timeout=100, check=True)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    ours = numpy.array([line["drift_px"] for line in lines])
    # scikit-image's shift moves the frame back onto the first: (row, column), opposite to ours.
    theirs = -numpy.array([phase_cross_correlation(movie[0].astype(float), frame.astype(float),
                                                   upsample_factor=100, normalization=None)[0][::-1]
                           for frame in movie])
    a, b = rms((ours - path)[1:]), rms((theirs - path)[1:])
    states = sum(line["drift_state"] != "locked" for line in lines)
    print(f"{electrons} e/px: latticed {a:.4f} px rms, scikit-image {b:.4f} px rms; {states} frames not locked")
    if not a < b or a > 0.4 * electrons**-0.5 or states:
        print("FAILED: latticed must be nearer to the truth, and sure of it")
        failures += 1
sys.exit(1 if failures else 0)
