#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule finds what it is for, and lets pass what is right."""
import unittest

import rules

HEADER = "// SPDX-License-Identifier: GPL-3.0-or-later\n"


def found(rule, files, **options):
    return list(rule(rules.Tree("/srv/clone", files), **options))


class IncludeRules(unittest.TestCase):
    def check(self, path, include, problem):
        problems = found(rules.include_rules, {path: f"#include {include}\n"})
        if problem is None:
            self.assertEqual(problems, [])
        else:
            self.assertEqual(len(problems), 1, problems)
            self.assertIn(problem, problems[0])

    def test_folders(self):
        self.check("server/signal/taper.cpp", '"server/process/line.hpp"', "may not include server/process")
        self.check("server/process/line.cpp", '"sim/world/world.hpp"', "may not include sim/world")
        self.check("server/app/main.cpp", '"sim/specimen/specimen.hpp"', "may not include")
        self.check("sim/world/main.cpp", '"server/frame/frame.hpp"', "may not include server/frame")
        self.check("drivers/replay/x.cpp", '"server/frame/frame.hpp"', "may not include server/frame")
        self.check("drivers/simulator/x.cpp", '"sim/specimen/specimen.hpp"', "may not include sim/specimen")
        self.check("server/app/main.cpp", '"tests/support/x.hpp"', "may not include tests")
        self.check("server/app/main.cpp", '"line.hpp"', "not written from the root")
        self.check("server/nowhere/x.cpp", '"server/base/hot.hpp"', "no entry")
        self.check("server/process/line.cpp", '"server/signal/taper.hpp"', None)
        self.check("server/app/main.cpp", '"drivers/replay/replay_detector.hpp"', None)
        self.check("tests/sim/x_test.cpp", '"server/frame/frame.hpp"', None)

    def test_libraries(self):
        self.check("server/signal/taper.cpp", "<fftw3.h>", "belongs in server/signal/frame_fft.cpp")
        self.check("server/process/line.hpp", "<fmt/format.h>", "belongs in *.cpp")
        self.check("drivers/kit/result.hpp", "<fmt/format.h>", "standard library only")
        self.check("server/app/main.cpp", "<curl/curl.h>", "belongs to no library")
        self.check("server/signal/frame_fft.cpp", "<fftw3.h>", None)
        self.check("server/base/doorbell.cpp", "<sys/syscall.h>", None)
        self.check("drivers/kit/result.hpp", "<variant>", None)


class Mirror(unittest.TestCase):
    SOURCE = {"server/base/hot.cpp": '#include "server/base/hot.hpp"\n'}

    def test_asks_for_a_test(self):
        self.assertIn("no tests/server/base/hot_test.cpp", found(rules.mirror, self.SOURCE)[0])

    def test_takes_the_mirror_or_a_test_that_includes_the_header(self):
        self.assertEqual(found(rules.mirror, {**self.SOURCE, "tests/server/base/hot_test.cpp": ""}), [])
        other = {"tests/server/x_test.cpp": '#include "server/base/hot.hpp"\n'}
        self.assertEqual(found(rules.mirror, {**self.SOURCE, **other}), [])

    def test_keeps_the_list_honest(self):
        owed = "tests/lint/owed_tests.txt"
        listed = {**self.SOURCE, owed: "server/base/hot.cpp through pipeline_test\n"}
        self.assertEqual(found(rules.mirror, listed), [])
        self.assertIn("has a test now", found(rules.mirror, {**listed, "tests/server/base/hot_test.cpp": ""})[0])
        self.assertIn("does not exist", found(rules.mirror, {owed: "server/gone.cpp why\n"})[0])
        self.assertEqual(rules.strike(rules.Tree("/", {owed: "# why\nserver/gone.cpp why\n"})), "# why\n")
        self.assertIn("no reason", found(rules.mirror, {**self.SOURCE, owed: "server/base/hot.cpp\n"})[0])


class Texts(unittest.TestCase):
    def test_names(self):
        for bad in ("server/utils/x.cpp", "server/base/file_helper.hpp", "sim/common.cpp", "server/base/Ring.hpp"):
            self.assertEqual(len(found(rules.names, {bad: ""})), 1, bad)
        for good in ("sim/data/phases.toml", "tests/support/shared_data.hpp", "server/base/data_ring.cpp"):
            self.assertEqual(found(rules.names, {good: ""}), [], good)

    def test_license(self):
        self.assertEqual(len(found(rules.license_header, {"sim/x.cpp": "int x;\n", "deploy/x": "#!/bin/sh\n"})), 2)
        self.assertEqual(found(rules.license_header, {"sim/x.cpp": HEADER, "notes.md": ""}), [])

    def test_places(self):
        def check(text):
            return found(rules.places, {"README.md": text}, hosts={"registry.example"})

        for bad in ("cd /srv/clone/build", "see /ho" "me/ada/x", "from https://registry.example/npm"):
            self.assertEqual(len(check(bad)), 1, bad)
        for good in ("build/srv/clones", "/srv/clones", "any.registry.example.org", "/entry/data"):
            self.assertEqual(check(good), [], good)

    def test_prose(self):
        def check(text):
            return found(rules.prose, {"README.md": text})

        word = "word " * 30
        for bad in (word, f"- {word}", f"```\ncode\n```\n{word}", f"{word} [see](there.md)", f"[see](x.md) {word}"):
            self.assertEqual(len(check(bad)), 1, bad)
        link = "https://example.org/" + "far/" * 40
        for good in ("x" * 120, f"| {word} |", f"# {word}", f"```sh\n{word}\n```", f"see {link}", f"- [it]({link})"):
            self.assertEqual(check(good), [], good)
        self.assertEqual(found(rules.prose, {"server/x.py": word}), [])


if __name__ == "__main__":
    unittest.main()
