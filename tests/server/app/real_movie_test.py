# SPDX-License-Identifier: GPL-3.0-or-later
"""`latticed analyze` on a real drifting STEM movie, against what other programs say of it.

usage: real_movie_test.py LATTICED SOURCE_DIR; exit 77 (skipped) where the movie is absent."""
import json
import math
import os
import subprocess
import sys

LATTICED, SOURCE = sys.argv[1:]
MOVIE = os.path.join(os.environ.get("LATTICED_SHARED_DATA", os.path.join(SOURCE, "../shared/data")),
                     "stem_abf_data_imagestack.hspy")

# Drift of frames 1 to 4 as (slow y, fast x) by an all-pairs registration with transitivity, whose
# sign is that of the correction: ours is the movement of the specimen, +x = to the right.
ALL_PAIRS = [(0.60, -3.03), (2.11, -6.51), (4.62, -7.36), (3.16, -9.33)]
SLOW_PX, FAST_PX = 0.5, 0.25
SPACINGS_NM = (0.2718, 0.1931)  # scatter between frames 0.2 to 0.4 %
SPACING_RATIO = 0.004

if not os.path.exists(MOVIE):
    print(f"SKIPPED: no real movie {os.path.normpath(MOVIE)} (set LATTICED_SHARED_DATA)")
    sys.exit(77)

run = subprocess.run([LATTICED, "analyze", MOVIE], capture_output=True, text=True, timeout=100)
frames = [json.loads(line) for line in run.stdout.splitlines()]
failures = [] if run.returncode == 0 else [f"exit {run.returncode}: {run.stderr}"]


def expect(condition, what):
    if not condition:
        failures.append(what)


expect([f["seq"] for f in frames] == [0, 1, 2, 3, 4], "not the five frames of the movie")
expect(frames[0]["drift_px"] == [0, 0], "frame 0 is where the drift begins")
for frame, (slow, fast) in zip(frames[1:], ALL_PAIRS):
    x, y = frame["drift_px"]
    print(f"frame {frame['seq']}: x {x:.2f} (all pairs {-fast:.2f}), y {y:.2f} ({-slow:.2f}) px, "
          f"{frame['drift_state']}")
    expect(abs(x + fast) < FAST_PX, f"frame {frame['seq']}: fast axis off by {x + fast:.2f} px")
    expect(abs(y + slow) < SLOW_PX, f"frame {frame['seq']}: slow axis off by {y + slow:.2f} px")
    expect(frame["drift_state"] != "lost", f"frame {frame['seq']} is lost")
for frame in frames:
    for wanted in SPACINGS_NM:
        found = min((abs(s["d_nm"] / wanted - 1) for s in frame["spots"]), default=math.inf)
        expect(found < SPACING_RATIO, f"frame {frame['seq']}: no spot within 0.4 % of {wanted} nm ({found:.4f})")

for failure in failures:
    print(f"FAILED: {failure}")
sys.exit(1 if failures else 0)
