# SPDX-License-Identifier: GPL-3.0-or-later
"""`latticed figures` as a process."""
from programs import Programs, main


class Figures(Programs):
    def setUp(self):
        super().setUp()
        rows = "".join(f"{n},,locked,{n},0,{n}.1,0,0.1,0.1\n" for n in range(5))
        (self.folder / "s.csv").write_text("seq,lost,drift_state,drift_x_true_px,drift_y_true_px,"
                                           "drift_x_px,drift_y_px,sigma_x_px,sigma_y_px\n" + rows)

    def test_draws_one_page(self):
        (self.folder / "s.json").write_text('{"scenario": "quiet", "verdict": "pass"}')
        done = self.latticed("figures", "--series", "s.csv", "--summary", "s.json", "--out", "a/b")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        page = (self.folder / "a/b/rehearsal.png").read_bytes()
        self.assertEqual(page[:4], b"\x89PNG")
        self.assertGreater(int.from_bytes(page[16:20], "big"), 900)

    def test_says_what_it_could_not_read(self):
        (self.folder / "bad.json").write_text("[1")
        (self.folder / "bad.csv").write_text("a,b\n1\n")
        for series, summary, bad in (("s.csv", "bad.json", "bad.json"), ("bad.csv", "s.json", "bad.csv")):
            done = self.latticed("figures", "--series", series, "--summary", summary, "--out", "o")
            self.assertEqual(done.returncode, 2)
            self.assertIn(bad, done.stderr)


if __name__ == "__main__":
    main()
