#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""usage: fake_daemon.py SOCKET HOLDER CURRENT_A: turns the output on, prints "on", and beats its heart until it is
stopped or killed. A process of its own, so that it can be."""
import json
import socket
import sys
import time


def main():
    path, holder, current_a = sys.argv[1], sys.argv[2], float(sys.argv[3])
    link = socket.socket(socket.AF_UNIX)
    link.connect(path)
    lines = link.makefile("r")
    for number, request in enumerate([
            {"do": "arm", "who": "test", "token": 1},
            {"do": "set_source", "mode": "current", "level": current_a, "compliance": 4.0, "token": 1},
            {"do": "set_output", "on": True, "token": 1}]):
        link.sendall((json.dumps({**request, "id": number, "holder": holder}) + "\n").encode())
        while True:
            answer = json.loads(lines.readline())
            if answer.get("id") == number:
                break
        if not answer["ok"]:
            sys.exit(f"{request}: {answer}")
    print("on", flush=True)
    while True:
        link.sendall(b'{"do":"heartbeat"}\n')
        time.sleep(0.05)


if __name__ == "__main__":
    main()
