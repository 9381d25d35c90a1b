#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A detector whose configured pixel size is 3 % wrong is calibrated by a specimen whose spacings are known: the scale comes
out right within its sigma, is used by the next run and after a restart, is written into the recording, and can be cleared;
what is not the standard is refused with the reason."""
import json
import math
import subprocess
import unittest

import h5py

import harness

PIXEL_NM, WRONG_NM = 0.03, 0.03 * 1.03
FRAMES = 80
SCENARIO = f"""
name = "standard"
seed = 5
frame_period_s = 0.02
[[detector]]
name = "camera"
width = 384
height = 384
pixel_size_nm = {PIXEL_NM}
dose_e_per_px = 60
hot_pixels = 0
[specimen]
phase = "P2"
layer_normal_deg = 28.0
edges = [[15.0, 4.5], [-62.0, 5.5]]
rim_nm = 0.7
"""


class AStandardMendsThePixelSize(unittest.TestCase):
    def run_once(self, lab):
        """The measurements of a run, and what is true of it."""
        events = lab.client.stream("Measurements", "Watch").accepted().gather()
        lab.start_run(frame_count=FRAMES)
        status = lab.wait_for_state("IDLE", "FAULT")
        self.assertEqual((status.ended, status.fault), ("completed", ""))
        events.wait_for(lambda e: e.HasField("run_ends"), "the run's end")
        truth = [json.loads(line) for line in lab.truth_file.read_text().splitlines()]
        reflections = next(line["reflections"] for line in truth if line.get("frame") == FRAMES // 2)
        return [e.measurement for e in events.end() if e.HasField("measurement")], reflections

    def errors(self, measured, reflections):
        """Of every confirmed spot of the last frames that is a true reflection: relative error, in its whole sigmas."""
        out = []
        for m in measured[FRAMES // 2:]:
            for spot in (s for s in m.spots if s.confirmed and s.snr > 15):
                true = min((r["d_nm"] for r in reflections), key=lambda d: abs(d - spot.d_nm))
                off = spot.d_nm / true - 1
                if abs(off) < 0.04:
                    out.append((off, off * spot.d_nm / math.hypot(spot.sigma_d_nm, spot.sigma_d_sys_nm)))
        return out

    def calibrate(self, lab, reflections, how="call", **more):
        known = sorted({round(r["d_nm"], 6) for r in reflections}, reverse=True)
        return getattr(lab.client, how)("Calibration", "Calibrate", standard_sigma_ratio=1e-4,
                                        spacings=[{"d_nm": d} for d in known], **more)

    def ctl(self, lab, *words):
        done = subprocess.run([harness.BIN / "latticectl", "--server", lab.grpc, *words], capture_output=True, text=True,
                              timeout=harness.DEADLINE_S)
        return done.returncode, done.stdout + done.stderr

    def test_mends_the_pixel_size(self):
        with harness.Lab(SCENARIO, guard=False, detector={"pixel_size_nm": WRONG_NM}) as lab:
            refused = lab.client.refused("Calibration", "Calibrate", standard="Si")
            self.assertIn("0 frames", refused.message)
            measured, reflections = self.run_once(lab)
            wrong = [off for off, _ in self.errors(measured, reflections)]
            self.assertGreater(len(wrong), 100)
            self.assertAlmostEqual(sorted(wrong)[len(wrong) // 2], 0.03, delta=0.005)

            # Not the standard; and one that there is not.
            status, said = self.ctl(lab, "calibrate", "--standard", "Au")
            self.assertEqual(status, 1, said)
            self.assertRegex(said, "calibrate camera by Au: .*(none of|standard|ambiguous|scatter)")
            status, said = self.ctl(lab, "calibrate", "--standard", "Unobtainium")
            self.assertEqual(status, 1, said)
            self.assertIn("SrTiO3", said)
            self.assertEqual(len(lab.client.call("Calibration", "List").calibrations), 0)

            made = self.calibrate(lab, reflections).calibration
            self.assertTrue(made.in_use)
            self.assertEqual((made.detector, made.standard, made.frame_count), ("camera", "spacings", 64))
            self.assertAlmostEqual(made.nominal_pixel_size_nm, WRONG_NM, places=9)
            off = made.pixel_size_nm / PIXEL_NM - 1
            print(f"pixel size off by {100 * off:.3f} %, sigma {100 * made.pixel_size_sigma_ratio:.3f} %, "
                  f"{len(made.spacings)} reflections, Birge {made.birge_ratio:.2f}")
            self.assertLess(made.pixel_size_sigma_ratio, 0.004)
            self.assertLess(abs(off), 3 * made.pixel_size_sigma_ratio)
            self.assertGreaterEqual(len(made.spacings), 5)

            # Used from the next configure on, which says so; every length is mended, and knows its doubt.
            measured, reflections = self.run_once(lab)
            configured = lab.client.call("Acquisition", "ListDetectors").detectors[0].configuration
            self.assertAlmostEqual(configured.pixel_size_nm, made.pixel_size_nm, places=12)
            self.assertAlmostEqual(configured.pixel_size_sigma_ratio, made.pixel_size_sigma_ratio, places=12)
            self.assertIn("calibrated by spacings", configured.pixel_size_source)
            errors = self.errors(measured, reflections)
            self.assertGreater(len(errors), 100)
            self.assertLess(abs(sorted(off for off, _ in errors)[len(errors) // 2]), 0.004)
            within = sum(abs(z) < 3 for _, z in errors) / len(errors)
            self.assertGreater(within, 0.95)
            least = min(s.sigma_d_sys_nm / s.d_nm for m in measured for s in m.spots)
            self.assertGreaterEqual(least, 0.99 * made.pixel_size_sigma_ratio)
            recording = max(lab.recordings.glob("*.nxs"), key=lambda f: f.stat().st_mtime)
            with h5py.File(recording, "r") as file:
                detector = file["/entry/measurement/instrument/detector1"]
                self.assertAlmostEqual(detector["pixel_size_at_specimen"][()], made.pixel_size_nm, places=12)
                self.assertAlmostEqual(detector["pixel_size_sigma_ratio"][()], made.pixel_size_sigma_ratio, places=12)
                self.assertIn(b"calibrated by spacings", detector["pixel_size_source"][()])

            # Measured again from the recording: the same spacings with the same doubt. (Without hot pixels: a movie shows
            # them to a replay, a live run without a reference does not know them.)
            replayed = subprocess.run([harness.BIN / "latticed", "analyze", recording], capture_output=True, text=True,
                                      timeout=harness.DEADLINE_S)
            self.assertEqual(replayed.returncode, 0, replayed.stderr)
            replayed = {entry["seq"]: entry for entry in map(json.loads, replayed.stdout.splitlines())}
            self.assertEqual(len(replayed), len(measured))
            for m in measured:
                spots = {spot["id"]: spot for spot in replayed[m.seq]["spots"]}
                self.assertEqual(set(spots), {spot.id for spot in m.spots}, m.seq)
                for spot in m.spots:
                    self.assertAlmostEqual(spots[spot.id]["d_nm"] / spot.d_nm, 1, places=6)
                    self.assertAlmostEqual(spots[spot.id]["sigma_d_sys_nm"] / spot.sigma_d_sys_nm, 1, places=3)

            # Again, now from the mended scale: the same nominal size, the same answer.
            again = self.calibrate(lab, reflections, frame_count=32).calibration
            self.assertAlmostEqual(again.nominal_pixel_size_nm, WRONG_NM, places=9)
            self.assertLess(abs(again.pixel_size_nm / made.pixel_size_nm - 1), 3 * made.pixel_size_sigma_ratio)
            status, said = self.ctl(lab, "calibrate", "--show")
            self.assertEqual((status, said.count("camera")), (0, 2), said)
            self.assertIn("scale      camera: ", self.ctl(lab, "status")[1])

            # After a restart it is still in use, until it is cleared.
            lab.stop()
            lab.start_daemon()
            lab.client.call("Acquisition", "Configure")
            configured = lab.client.call("Acquisition", "ListDetectors").detectors[0].configuration
            self.assertAlmostEqual(configured.pixel_size_nm, again.pixel_size_nm, places=12)
            self.assertEqual(self.ctl(lab, "calibrate", "--clear")[0], 0)
            reply = lab.client.call("Acquisition", "Configure")
            self.assertAlmostEqual(reply.detectors[0].pixel_size_nm, WRONG_NM, places=9)
            self.assertEqual(reply.detectors[0].pixel_size_source, "")
            self.assertEqual([c.in_use for c in lab.client.call("Calibration", "List").calibrations], [False, False])


if __name__ == "__main__":
    unittest.main()
