# SPDX-License-Identifier: GPL-3.0-or-later
"""`latticed acquire` as a process: recordings and the simulated world, and every way to end."""
import os
import pty
import select
import signal
import subprocess
import time

from programs import (DEADLINE_S, LATTICED, Programs, fringes, lines_of, main, mrc, small_scenario,
                      wait_for)


def simulated(socket, *names):
    return "".join(f'[[detector]]\nname = "{name}"\ndriver = "simulator"\n'
                   f'simulator = {{ socket = "{socket}", detector = "{name}" }}\n' for name in names)


class Acquire(Programs):
    def configured(self, text):
        (self.folder / "c.toml").write_text(text)
        return "acquire", "--config", "c.toml", "--out", "out"

    def lines(self, detector):
        return lines_of((self.folder / "out" / f"{detector}.jsonl").read_text())

    def line_count(self, detector):
        try:
            return (self.folder / "out" / f"{detector}.jsonl").read_bytes().count(b"\n")
        except FileNotFoundError:
            return 0

    def replayed(self, name, frames, more=""):
        movie = mrc(self.folder / f"{name}.mrc", [fringes(64, 64, i) for i in range(frames)], 64, 64)
        return f'[[detector]]\nname = "{name}"\ndriver = "replay"\n{more}\nreplay.files = ["{movie}"]\n'

    def test_measures_several_detectors_of_one_world_in_one_run(self):
        world, socket = self.world(small_scenario(12, detectors=("haadf", "abf")), "--speed", "0")
        done = self.latticed(*self.configured(simulated(socket, "haadf", "abf") +
                                              "[output]\ncsv = true\nfigures = true\n"))
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("haadf", "abf"):
            self.assertEqual([line["seq"] for line in self.lines(name)], list(range(12)))
            self.assertIn(f"{name}: 12 frames measured, 0 lost", done.stderr)
            self.assertTrue((self.folder / "out" / f"{name}.csv").read_text().startswith("seq,"))
            self.assertTrue((self.folder / "out" / f"{name}-figures" / "drift.png").read_bytes())

    def test_a_run_whose_losses_are_all_listed_ended_well(self):
        fault = '[[fault]]\nframe = 4\nkind = "drop"\ncount = 2\n'
        _, socket = self.world(small_scenario(10, fault), "--speed", "0")
        done = self.latticed(*self.configured(simulated(socket, "camera")))
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = self.lines("camera")
        self.assertEqual([line["seq"] for line in lines], list(range(10)))
        self.assertEqual([line["seq"] for line in lines if "lost" in line], [4, 5])

    def test_keeps_what_was_measured_when_the_world_is_killed(self):
        world, socket = self.world(small_scenario(0), "--speed", "1")
        process = self.start(LATTICED, *self.configured(simulated(socket, "camera")),
                             stderr=subprocess.PIPE, text=True)
        wait_for(lambda: self.line_count("camera") >= 3, "three frames measured")
        world.kill()
        _, stderr = process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, 1, stderr)
        errors = self.errors(stderr)
        self.assertEqual(len(errors), 1, stderr)
        self.assertIn(str(socket), errors[0])
        lines = self.lines("camera")
        self.assertGreaterEqual(len(lines), 3)
        self.assertEqual([line["seq"] for line in lines], list(range(len(lines))))

    def test_ends_in_time_when_told_to_and_all_it_took_is_written(self):
        _, socket = self.world(small_scenario(0, detectors=("a", "b")), "--speed", "1")
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            process = self.start(LATTICED, *self.configured(simulated(socket, "a", "b")),
                                 stderr=subprocess.PIPE, text=True)
            wait_for(lambda: min(self.line_count("a"), self.line_count("b")) >= 2, "two frames of each")
            began = time.monotonic()
            process.send_signal(number)
            _, stderr = process.communicate(timeout=30)
            self.assertLess(time.monotonic() - began, 5)
            self.assertEqual(process.returncode, status, stderr)
            self.assertEqual(self.errors(stderr), [])
            for name in ("a", "b"):
                lines = self.lines(name)
                self.assertEqual([line["seq"] for line in lines], list(range(len(lines))))
                self.assertIn(f"{name}: {len(lines)} frames measured", stderr)
                (self.folder / "out" / f"{name}.jsonl").unlink()

    def test_keeps_the_files_of_an_earlier_run(self):
        command = self.configured(self.replayed("movie", 3))
        self.assertEqual(self.latticed(*command).returncode, 0)
        (self.folder / "out" / "movie.jsonl").write_text("precious")
        for _ in range(2):
            self.assertEqual(self.latticed(*command).returncode, 0)
        self.assertEqual((self.folder / "out" / "movie.jsonl.1").read_text(), "precious")
        self.assertEqual(len(lines_of((self.folder / "out" / "movie.jsonl.2").read_text())), 3)
        self.assertEqual(len(self.lines("movie")), 3)

    def test_a_recording_measures_the_same_live_as_analyzed(self):
        config = self.replayed("movie", 8, "pixel_size_nm = 0.05\nframe_period_s = 0.1")
        live = self.latticed(*self.configured(config))
        self.assertEqual(live.returncode, 0, live.stderr)
        offline = self.latticed("analyze", "movie.mrc", "--config", "c.toml")
        self.assertEqual(lines_of(offline.stdout), self.lines("movie"))

    def test_a_paced_recording_comes_at_its_pace(self):
        more = "frame_period_s = 0.2\n[detector.replay]\npace = 2"
        began = time.monotonic()
        done = self.latticed(*self.configured(
            self.replayed("movie", 11, more).replace("replay.files", "files")))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(time.monotonic() - began, 1.0)
        self.assertEqual(len(self.lines("movie")), 11)

    def test_goes_on_without_an_output_that_fails_and_says_so(self):
        (self.folder / "out").mkdir()
        (self.folder / "out" / "movie.csv").symlink_to("/dev/full")
        config = self.replayed("movie", 40) + "[output]\ncsv = true\n"
        # The link is what an earlier run left: it is moved aside, so the new file is good again.
        self.assertEqual(self.latticed(*self.configured(config)).returncode, 0)
        self.assertTrue((self.folder / "out" / "movie.csv.1").is_symlink())
        limited = f"ulimit -f 8; trap '' XFSZ; exec {LATTICED} {' '.join(self.configured(config))}"
        done = subprocess.run(["bash", "-c", limited], cwd=self.folder, text=True, capture_output=True,
                              timeout=DEADLINE_S)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("File too large; the run goes on without it", done.stderr)
        self.assertIn("movie: 40 frames measured", done.stderr)

    def test_says_what_keeps_it_from_starting(self):
        done = self.latticed(*self.configured(simulated("/nowhere/world.sock", "camera")))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(len(self.errors(done.stderr)), 1, done.stderr)
        self.assertRegex(done.stderr, "detector camera: .*/nowhere/world.sock")

        (self.folder / "file").write_text("")
        done = self.latticed(*self.configured(self.replayed("movie", 1))[:-1], "file/out")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("create directory file/out: Not a directory", done.stderr)

        done = self.latticed(*self.configured("[[detector]]\nname = 3\ndriver = 4\n"))
        self.assertEqual(done.returncode, 2, done.stderr)
        for place in ("c.toml:2:8: detector[0].name", "c.toml:3:10: detector[0].driver"):
            self.assertIn(place, done.stderr)

    def test_shows_a_live_table_on_a_terminal(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = self.start(LATTICED, *self.configured(self.replayed("movie", 60)), stderr=theirs)
        os.close(theirs)
        shown = b""
        until = time.monotonic() + DEADLINE_S
        while time.monotonic() < until:
            if not select.select([ours], [], [], 0.1)[0]:
                continue
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the terminal's other side was closed
                break
        self.assertEqual(process.wait(timeout=10), 0)
        text = shown.decode()
        for word in ("movie  frame ", "frames/s", "drift", " ± ", "alerts  none", "ring ", "json ", "\x1b[J"):
            self.assertIn(word, text)

    def test_logs_json_lines_to_a_file_if_configured(self):
        config = self.replayed("movie", 3) + '[log]\njson = true\nfile = "log.jsonl"\n'
        done = self.latticed(*self.configured(config))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        entries = lines_of((self.folder / "log.jsonl").read_text())
        self.assertTrue(any("3 frames measured" in entry["event"] for entry in entries))
        self.assertEqual({tuple(entry) for entry in entries}, {("ts", "level", "event", "thread")})


if __name__ == "__main__":
    main()
