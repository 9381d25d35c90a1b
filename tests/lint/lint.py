#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""usage: lint.py [RULE...]: the rules of tests/lint/rules.py over this clone; no rule = all of them."""
import pathlib
import sys

from rules import RULES, Tree


def main():
    wanted = sys.argv[1:] or list(RULES)
    unknown = [rule for rule in wanted if rule not in RULES]
    if unknown:
        print(f"no rule {', '.join(unknown)}; there are {', '.join(RULES)}", file=sys.stderr)
        return 2
    tree = Tree(pathlib.Path(__file__).resolve().parents[2])
    problems = [problem for rule in wanted for problem in RULES[rule](tree)]
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
