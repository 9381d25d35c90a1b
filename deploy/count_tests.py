#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds up ctest's JUnit reports: failures with their output, skips with their reason, and as the
last line `N passed, N failed, N skipped`. Exit 1 when something failed or nothing passed."""
import argparse
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


def reason_of_skip(output):
    """What the test said: GoogleTest's message, or the line that begins with SKIPPED."""
    said = re.search(r"^SKIPPED: (.+)$", output, re.M)
    if said:
        return said[1].strip()
    said = re.search(r": Skipped\n(.+)", output)
    if said:
        return said[1].strip()
    return "no reason given"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broken", type=int, default=0, help="runs that left no report")
    parser.add_argument("reports", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()

    passed, failed, skipped = 0, arguments.broken, 0
    for report in arguments.reports:
        preset = report.parent.name
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            name = f"{preset} {case.get('name')}"
            output = case.findtext("system-out") or ""
            status = case.get("status")
            if status == "run":
                passed += 1
            elif case.find("skipped") is not None and "SKIP_" in case.find("skipped").get("message", ""):
                skipped += 1
                print(f"skipped: {name}: {reason_of_skip(output)}")
            else:  # also a test whose program is missing, or that was switched off
                failed += 1
                print(f"failed: {name}\n{output.rstrip()}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
