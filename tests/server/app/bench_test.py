# SPDX-License-Identifier: GPL-3.0-or-later
"""`latticed bench` as a process. Nothing is asked of the times but that there are any."""
import json
import os
import tempfile

from programs import Programs, main


class Bench(Programs):
    def bench(self, *words):
        done = self.latticed("bench", "--size", "256", "--bin", "1", "--seconds", "0.3", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_measures_every_frame_and_loses_none(self):
        result = self.bench()
        self.assertEqual((result["size"], result["bin"], result["lost"]), ([256, 256], 1, 0))
        self.assertGreaterEqual(result["frames"], 256)
        # All but the first, which is the one the others are held against.
        self.assertGreater(result["locked_ratio"], 0.99)
        self.assertEqual(result["decimated_stages"], [])
        # The slots of 256 more frames would be 32 MB. Stacks of threads are touched as they run.
        memory = result["memory_mb"]
        if not os.environ.get("LATTICED_SANITIZED"):  # a sanitizer keeps what was freed
            self.assertLess(memory["end"] - memory["armed"], 10)
        for stage in ("acquire", "correct", "fft", "detect", "drift", "lattice", "alert"):
            self.assertGreater(result["cpu_ms_per_stage"][stage], 0)
        for ratio in ("cpu_over_floor", "rate_over_floor"):
            self.assertGreater(result[ratio], 0)

    def test_with_correction_maps_the_same_is_measured(self):
        result = self.bench("--maps")
        self.assertEqual((result["maps"], result["lost"]), (True, 0))
        self.assertGreater(result["locked_ratio"], 0.99)

    def test_recording_every_frame_while_it_is_measured(self):
        for more in ((), ("--compact",)):
            with tempfile.TemporaryDirectory() as folder:
                done = self.latticed("bench", "record", folder, "--size", "256", "--bin", "1", "--seconds", "0.3", *more)
                self.assertEqual(done.returncode, 0, done.stderr)
                result = json.loads(done.stdout)
                self.assertEqual(os.listdir(folder), [])
            self.assertEqual((result["lost"], result["profile"]), (0, "compact" if more else "portable"))
            self.assertGreaterEqual(result["frames"], 4 * 256)
            self.assertGreater(result["mb_per_s_over_disk"], 0)
            self.assertGreaterEqual(result["packed_times"], 1)


if __name__ == "__main__":
    main()
