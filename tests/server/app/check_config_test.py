# SPDX-License-Identifier: GPL-3.0-or-later
"""`latticed check-config` as a process."""
from programs import Programs, main


class CheckConfig(Programs):
    def check(self, text):
        (self.folder / "c.toml").write_text(text)
        return self.latticed("check-config", "c.toml")

    def test_prints_all_mistakes_at_once_and_nothing_else(self):
        done = self.check('[pipelines]\nworkers = 2\n[[detector]]\nname = "a"\ndriver = "camera"\n'
                          "prepare.bin = 99\n[log]\nlevel = 3\n")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        for mistake in ("c.toml:1:2: pipelines: unknown key (did you mean pipeline?)",
                        'c.toml:5:10: detector[0].driver: "camera" (expected one of simulator, replay)',
                        "c.toml:6:15: detector[0].prepare.bin: 99 (expected a whole number, 0 to 16)",
                        "c.toml:8:9: log.level: 3 (expected one of trace, debug, info, warning, error, off)"):
            self.assertIn(mistake, done.stderr.splitlines())

    def test_prints_a_configuration_that_says_the_same(self):
        done = self.check('[[detector]]\nname = "a"\ndriver = "simulator"\nsimulator.socket = "w"\n')
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        again = self.check(done.stdout)
        self.assertEqual((again.returncode, again.stdout), (0, done.stdout))

    def test_says_which_file_it_could_not_read(self):
        done = self.latticed("check-config", "nowhere.toml")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "read configuration nowhere.toml: No such file or directory\n")


if __name__ == "__main__":
    main()
