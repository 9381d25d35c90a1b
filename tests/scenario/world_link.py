# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the simulated world itself: what a test may know and no part of latticed."""
import json
import socket

from client import DEADLINE_S


def ask(lab, cmd, **fields):
    """One command on a connection of its own: its reply."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(DEADLINE_S)
        link.connect(str(lab.folder / "world.sock"))
        link.sendall(json.dumps({"cmd": cmd, **fields}).encode() + b"\n")
        with link.makefile() as lines:
            reply = json.loads(lines.readline())
    assert reply["ok"], reply
    return reply
