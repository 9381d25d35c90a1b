# SPDX-License-Identifier: GPL-3.0-or-later
"""`latticed analyze` as a process: good recordings, bad ones, bad options, and being ended."""
import array
import math
import os
import random
import signal
import subprocess
import time

from programs import LATTICED, Programs, fringes, lines_of, main, mrc, threads_of, wait_for


class Analyze(Programs):
    def analyze(self, *arguments):
        done = self.latticed("analyze", *arguments)
        return done, lines_of(done.stdout)

    def movie(self, name, count, width=64, height=64):
        frames = [fringes(width, height, i) for i in range(count)]
        return mrc(self.folder / name, frames, width, height)

    # What it measures.

    def test_lists_every_frame_of_several_files_once_and_in_order(self):
        done, lines = self.analyze(self.movie("a.mrc", 5), self.movie("b.mrc", 4), "--pixel-size-nm", "0.05")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line["seq"] for line in lines], list(range(9)))
        self.assertTrue(any(abs(spot["d_nm"] - 7.3 * 0.05) < 0.005 for spot in lines[4]["spots"]), lines[4])

    def test_says_on_stderr_which_frame_period_it_took(self):
        done, _ = self.analyze(self.movie("a.mrc", 2))
        self.assertIn("no frame period is known: 0.1 s", done.stderr)
        done, _ = self.analyze(self.movie("a.mrc", 2), "--frame-period-s", "0.2")
        self.assertNotIn("no frame period", done.stderr)

    def test_takes_only_the_frames_asked_for_and_keeps_their_numbers(self):
        movie = self.movie("a.mrc", 6)
        for asked, wanted in (("2:4", [2, 3]), ("4:", [4, 5]), (":2", [0, 1]), (":", list(range(6)))):
            done, lines = self.analyze(movie, "--frames", asked)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual([line["seq"] for line in lines], wanted)

    def test_measures_only_the_region_and_says_so_if_it_is_outside(self):
        movie = self.movie("a.mrc", 2, 96, 64)
        done, lines = self.analyze(movie, "--roi", "8,0,64,48")
        self.assertEqual((done.returncode, len(lines)), (0, 2), done.stderr)
        done, lines = self.analyze(movie, "--roi", "50,0,64,48")
        self.assertEqual((done.returncode, lines), (2, []))
        self.assertRegex(done.stderr, "x=50.*not inside the frame of 96x64")

    def test_writes_the_same_numbers_as_a_table(self):
        done, lines = self.analyze(self.movie("a.mrc", 3), "--csv", "out.csv")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [row.split(",") for row in (self.folder / "out.csv").read_text().splitlines()]
        self.assertEqual(rows[0][:2], ["seq", "time_ns"])
        self.assertEqual(sorted({int(row[0]) for row in rows[1:]}), [0, 1, 2])
        self.assertEqual({len(row) for row in rows}, {len(rows[0])})
        self.assertAlmostEqual(float(rows[-1][5]), lines[-1]["drift_px"][0], places=5)

    def test_draws_figures_where_asked_to(self):
        done, _ = self.analyze(self.movie("a.mrc", 5), "--figures", "figures")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.folder / "figures" / "drift.png").read_bytes()[1:4], b"PNG")

    def test_takes_settings_of_a_configuration_and_lets_options_win(self):
        (self.folder / "c.toml").write_text(
            '[[detector]]\nname = "x"\ndriver = "replay"\npixel_size_nm = 0.05\n'
            'replay.files = ["unused"]\nprepare.bin = 1\n')
        movie = self.movie("a.mrc", 3)
        _, lines = self.analyze(movie, "--config", "c.toml")
        _, wider = self.analyze(movie, "--config", "c.toml", "--pixel-size-nm", "0.1")
        self.assertAlmostEqual(2 * lines[2]["spots"][0]["d_nm"], wider[2]["spots"][0]["d_nm"], places=6)

    def test_looks_at_the_superlattice_places_of_a_configuration(self):
        frames = []
        for seed in range(2):
            noise = random.Random(seed)
            waves = [[120 * math.cos(2 * math.pi * (x * a + y * b)) for y in range(96) for x in range(96)]
                     for a, b in ((1 / 6, 0.02), (0.03, 1 / 7))]
            frames.append(array.array("H", (int(1000 + one + two + noise.gauss(0, 20)) for one, two in zip(*waves))))
        movie = mrc(self.folder / "two.mrc", frames, 96, 96)
        text = '[[detector]]\nname = "x"\ndriver = "replay"\nreplay.files = ["unused"]\nlattice.superlattice = {}\n'
        wanted = {'["1/3 1/3", "1/2 0"]': [[1 / 3, 1 / 3], [0.5, 0]], "[]": []}
        for places, indices in wanted.items():
            (self.folder / "c.toml").write_text(text.format(places))
            done, lines = self.analyze(movie, "--config", "c.toml", "--pixel-size-nm", "0.05")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIsNotNone(lines[1]["lattice"], lines[1])
            seen = [place["index"] for place in lines[1]["superlattice"]]
            self.assertEqual([[round(i, 5) for i in index] for index in seen],
                             [[round(i, 5) for i in index] for index in indices])
        (self.folder / "c.toml").write_text(text.format('["1 0"]'))
        done, lines = self.analyze(movie, "--config", "c.toml")
        self.assertEqual((done.returncode, lines), (2, []))
        self.assertRegex(done.stderr, r'c.toml:5:24: detector\[0\].lattice.superlattice: "1 0" \(expected a fraction')

    def test_obeys_a_file_of_rules(self):
        (self.folder / "r.toml").write_text(
            '[[rule]]\nname = "bright"\nquantity = "mean_counts"\nkind = "limit"\nabove = 10\n')
        done, lines = self.analyze(self.movie("a.mrc", 3), "--rules", "r.toml")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([a["rule"] for line in lines for a in line["alerts"]], ["bright"])

    def test_subtracts_a_dark_reference_of_the_right_size_only(self):
        movie = self.movie("a.mrc", 2)
        dark = mrc(self.folder / "dark.mrc", [array.array("H", [100]) * 4096], 64, 64)
        _, plain = self.analyze(movie)
        _, lines = self.analyze(movie, "--dark", dark)
        self.assertAlmostEqual(plain[0]["mean_counts"] - lines[0]["mean_counts"], 100, delta=0.01)
        small = mrc(self.folder / "small.mrc", [array.array("H", [100]) * 1024], 32, 32)
        done, lines = self.analyze(movie, "--dark", small)
        self.assertEqual((done.returncode, lines), (2, []))
        self.assertRegex(done.stderr, "dark reference .*small.mrc: 32x32 pixels, expected 64x64")

    # Recordings with something wrong.

    def test_reports_what_a_truncated_file_has_and_names_the_rest_lost(self):
        movie = self.movie("a.mrc", 6)
        os.truncate(movie, 1024 + 3 * 8192 + 100)
        done, lines = self.analyze(movie)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual([line["seq"] for line in lines], list(range(6)))
        self.assertEqual(lines[3:], [{"seq": i, "lost": "truncated"} for i in (3, 4, 5)])
        self.assertTrue(all("drift_px" in line for line in lines[:3]))
        self.assertRegex(done.stderr, "3 frames could not be read")

    def test_refuses_absurd_headers_with_one_error(self):
        for width, height, count in ((2_000_000_000, 64, 1), (-5, 64, 1), (64, 0, 1), (64, 64, -1)):
            path = mrc(self.folder / "absurd.mrc", [fringes(8, 8)], width, height, count=count)
            done, lines = self.analyze(path)
            self.assertEqual((done.returncode, lines), (2, []), (width, height, count, done.stderr))
            self.assertEqual(len(self.errors(done.stderr)), 1, done.stderr)
            self.assertIn("absurd.mrc", done.stderr)

    def test_refuses_what_is_no_recording_with_one_error(self):
        (self.folder / "text.mrc").write_text("hello")
        (self.folder / "empty.tif").write_text("")
        for name in ("text.mrc", "empty.tif", "missing.h5", "."):
            done, lines = self.analyze(name)
            self.assertEqual((done.returncode, lines), (2, []), done.stderr)
            self.assertEqual(len(self.errors(done.stderr)), 1, done.stderr)

    def test_marks_frames_that_show_nothing_and_measures_the_others(self):
        good, size = fringes(64, 64), 4096
        shown = {"good": good, "constant": array.array("H", [7]) * size,
                 "saturated": array.array("H", [65535]) * 400 + good[400:]}
        frames = [good, array.array("H", [0]) * size, shown["constant"], shown["saturated"], good]
        done, lines = self.analyze(mrc(self.folder / "a.mrc", frames, 64, 64))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line["quality"] for line in lines],
                         ["good", "constant", "constant", "saturated", "good"])
        self.assertTrue(lines[4]["spots"])
        self.assertLess(abs(lines[4]["drift_px"][0]), 0.2)

    def test_marks_frames_of_nan_and_repairs_a_few(self):
        good = array.array("f", fringes(64, 64))
        nan = array.array("f", [float("nan")]) * 4096
        few = array.array("f", good)
        few[100] = few[2000] = float("nan")
        few[300] = float("inf")
        done, lines = self.analyze(mrc(self.folder / "a.mrc", [good, nan, few, good], 64, 64, mode=2))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line["quality"] for line in lines], ["good", "not_finite", "good", "good"])
        self.assertLess(abs(lines[2]["drift_px"][0]), 0.2)

    def test_takes_odd_sizes_and_marks_what_is_too_small_to_measure(self):
        done, lines = self.analyze(self.movie("odd.mrc", 3, 101, 67))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(lines[2]["spots"])
        for width, height in ((1, 1), (1, 300), (15, 15)):
            done, lines = self.analyze(self.movie("small.mrc", 2, width, height))
            self.assertEqual((done.returncode, len(lines)), (0, 2), done.stderr)
            self.assertIn(lines[1]["quality"], ("too_small", "constant"))
            self.assertEqual(lines[1]["spots"], [])

    def test_counts_a_file_of_another_size_as_lost_and_goes_on(self):
        files = self.movie("a.mrc", 2), self.movie("b.mrc", 3, 32, 32), self.movie("c.mrc", 2)
        done, lines = self.analyze(*files)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual([line.get("lost") for line in lines],
                         [None, None, "wrong_size", "wrong_size", "wrong_size", None, None])
        self.assertIn("b.mrc", done.stderr)

    # Options.

    def test_names_option_value_and_what_was_expected(self):
        movie = self.movie("a.mrc", 2)
        for option, value, expected in (
                ("--pixel-size-nm", "-1", "range"), ("--pixel-size-nm", "x", "range"),
                ("--frame-period-s", "0", "range"), ("--bin", "17", "0 to 16"), ("--bin", "two", "0 to 16"),
                ("--workers", "0", "1 to 64"), ("--roi", "1,2,3", "X,Y,W,H"), ("--roi", "0,0,0,5", "X,Y,W,H"),
                ("--frames", "7", "a:b"), ("--frames", "5:5", "a below b"), ("--frames", "-1:5", "a:b")):
            done, lines = self.analyze(movie, f"{option}={value}")
            self.assertEqual((done.returncode, lines), (2, []))
            first = done.stderr.splitlines()[0]
            for word in (option, value, expected):
                self.assertIn(word, first)

    def test_refuses_files_it_cannot_use_before_it_measures(self):
        movie = self.movie("a.mrc", 2)
        for option in ("--dark", "--gain", "--config", "--rules", "--csv"):
            done, lines = self.analyze(movie, option, "/nowhere/at/all")
            self.assertEqual((done.returncode, lines), (2, []), option)
            self.assertEqual(len(self.errors(done.stderr)), 1, done.stderr)
            self.assertIn("/nowhere/at/all", done.stderr)

    def test_frames_beyond_the_end_are_an_error_that_says_how_many_there_are(self):
        done, _ = self.analyze(self.movie("a.mrc", 2), "--frames", "5:")
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, "5:.*there are 2")

    # Readers of stdout that are slow, or gone, and signals.

    def long_run(self):
        """A run that a pipe nobody reads holds up long before its end."""
        frame = fringes(64, 64)
        movie = mrc(self.folder / "long.mrc", [frame] * 3000, 64, 64)
        process = self.start(LATTICED, "analyze", movie, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, bufsize=1)
        return process, [process.stdout.readline() for _ in range(3)]

    def test_prints_all_it_measured_when_it_is_told_to_end(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            process, first = self.long_run()
            process.send_signal(number)
            # Its source has stopped while we did not read: what it took is still to come.
            wait_for(lambda: "latd-acq" not in threads_of(process), "the source to stop", 3)
            rest = process.stdout.read()
            process.wait(timeout=30)
            stderr = process.stderr.read()
            lines = lines_of("".join(first) + rest)
            self.assertEqual([line["seq"] for line in lines], list(range(len(lines))))
            self.assertLess(len(lines), 3000)
            self.assertEqual(process.returncode, status, stderr)
            self.assertEqual(self.errors(stderr), [])

    def test_ends_with_one_error_when_its_reader_goes(self):
        process, _ = self.long_run()
        process.stdout.close()
        began = time.monotonic()
        self.assertEqual(process.wait(timeout=30), 1)
        self.assertLess(time.monotonic() - began, 15)
        errors = self.errors(process.stderr.read())
        self.assertEqual(len(errors), 1, errors)
        self.assertIn("Broken pipe", errors[0])

    def test_ends_with_one_error_when_stdout_takes_nothing(self):
        movie = self.movie("a.mrc", 3)
        with open("/dev/full", "w") as full:
            done = subprocess.run([LATTICED, "analyze", movie], stdout=full, stderr=subprocess.PIPE,
                                  text=True, timeout=30)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(self.errors(done.stderr)), 1, done.stderr)
        self.assertIn("No space left", done.stderr)

    def test_waits_for_a_slow_reader_and_gives_up_only_when_told_to(self):
        process, _ = self.long_run()
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(timeout=7)  # longer than what counts as a stall of a live detector
        self.assertTrue(process.stdout.readline())
        began = time.monotonic()
        process.terminate()
        status, said = process.wait(timeout=30), process.stderr.read()
        self.assertEqual(status, 143, said)
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn("could not end within 4 s", said)


if __name__ == "__main__":
    main()
