#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""usage: lint.py [RULE...]: the rules of tests/lint/rules.py over this clone; no rule = all of them.
lint.py --strike takes lines that became untrue out of owed_tests.txt."""
import pathlib
import sys

from rules import RULES, Tree, strike


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    if sys.argv[1:] == ["--strike"]:
        (root / "tests/lint/owed_tests.txt").write_text(strike(Tree(root)), encoding="utf-8")
        return 0
    wanted = sys.argv[1:] or list(RULES)
    unknown = [rule for rule in wanted if rule not in RULES]
    if unknown:
        print(f"no rule {', '.join(unknown)}; there are {', '.join(RULES)}", file=sys.stderr)
        return 2
    tree = Tree(root)
    problems = [problem for rule in wanted for problem in RULES[rule](tree)]
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
