#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A port that somebody else has: the daemon does not start, says which one and why, and disturbs nobody."""
import socket
import unittest

import harness


class ABusyPort(unittest.TestCase):
    def check(self, option, address, *words, **serve):
        with harness.Lab(daemon=False, guard=False, serve=serve) as lab:
            status, said = lab.daemon_that_cannot_start(option, address)
            self.assertEqual(status, 2, said)
            problems = [line for line in said.splitlines() if " error " in line]
            self.assertEqual(len(problems), 1, said)
            for word in words:
                self.assertIn(word, problems[0])

    def test_of_grpc_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.check("--grpc", address, "gRPC", address, "Address already in use")

    def test_of_zeromq_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
            self.check("--zmq", address, "ZeroMQ", address, "in use by another program")

    def test_that_is_none_is_named(self):
        self.check("--grpc", "127.0.0.1:70000", "127.0.0.1:70000", "HOST:PORT")
        self.check("--zmq", "tcp://127.0.0.1:no", "serve.zmq", "127.0.0.1:no", "tcp://HOST:PORT")

    def test_of_an_address_of_another_machine_is_named(self):
        # Addresses for documentation, RFC 5737: nobody's, unless a test machine uses one.
        address = next(a for a in ("192.0.2.77", "198.51.100.77") if not self.is_mine(a))
        self.check("--listen", f"{address}:0", address, "annot assign requested address", open_reading=True)

    def test_of_the_network_is_no_local_one(self):
        for option, address in (("--grpc", "0.0.0.0:0"), ("--zmq", "tcp://0.0.0.0:0"), ("--grpc", "192.0.2.1:0")):
            self.check(option, address, f"serve.{option[2:]}", "serve.listen is for the network")

    def is_mine(self, address):
        with socket.socket() as probe:
            try:
                probe.bind((address, 0))
                return True
            except OSError:
                return False

    def test_of_a_daemon_that_serves_leaves_it_alone(self):
        with harness.Lab(harness.small_scenario(size=64)) as lab:
            measurements = lab.client.stream("Measurements", "Watch").accepted().gather()
            lab.start_run()
            for option, address in (("--grpc", lab.grpc), ("--zmq", lab.zmq)):
                status, said = lab.daemon_that_cannot_start(option, address)
                self.assertEqual(status, 2)
                self.assertIn(address, said)
            seen = len(measurements.messages)
            measurements.wait_for(lambda event: event.measurement.seq > seen + 10, "frames go on")
            self.assertEqual(lab.state(lab.status()), "RUNNING")
            self.assertTrue(lab.status().guard_reachable)


if __name__ == "__main__":
    harness.main()
