#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A remote client commands the holder within the guard's limits and never beyond them: a named person arms it, a refusal
says why with limit, value and unit, and the outputs can be switched off from every state, with the daemon hung or dead."""
import json
import math
import signal
import subprocess
import time
import unittest

import grpc

import harness
from world_link import ask

PROMISED_OFF_S = 1.0  # after the daemon has died
CURRENT = {"mode": "SOURCE_MODE_CURRENT", "who": "Ada"}


class PatientLab(harness.Lab):
    """Its guard takes a daemon for dead only after 50 s: what happens before, safe-off did."""

    def write_configs(self):
        super().write_configs()
        file = self.folder / "guard.toml"
        file.write_text(file.read_text().replace("[guard]\n", "[guard]\nheartbeat_ms = 1000\nmissed_heartbeats = 50\n"))


class TheHolder(unittest.TestCase):
    def outputs(self, lab):
        holder = ask(lab, "status")["holder"]
        return holder["output"], holder["heater"]

    def arming(self, lab, holder=None):
        names = {number: name for name, number in lab.client.api.enum("ArmingState").items()}
        return names[(holder or lab.holder()).arming].removeprefix("ARMING_STATE_")

    def switch_on(self, lab):
        client = lab.client
        client.call("Holder", "Arm", who="Ada")
        client.call("Holder", "SetSource", level=5e-8, compliance=4.0, **CURRENT)
        client.call("Holder", "SetOutput", on=True, who="Ada")
        client.call("Holder", "SetTemperature", temperature_k=320.0, who="Ada")
        harness.wait_for(lambda: self.outputs(lab) == (True, True), "source and heater on")

    def await_off(self, lab):
        harness.wait_for(lambda: self.outputs(lab) == (False, False), "source and heater off")

    def test_is_armed_by_a_named_person_and_ramps_to_what_is_asked(self):
        with harness.Lab() as lab:
            client = lab.client
            self.assertEqual(self.arming(lab), "DISARMED")
            self.assertEqual(client.refused("Holder", "Arm").reason, "NOBODY_NAMED")
            self.assertEqual(client.refused("Holder", "SetSource", level=1e-9, **CURRENT).reason, "DISARMED")
            self.assertEqual(client.refused("Holder", "SetOutput", on=True, who="Ada").reason, "DISARMED")
            self.assertEqual(client.refused("Holder", "SetTemperature", temperature_k=300.0, who="Ada").reason, "DISARMED")
            client.call("Holder", "Arm", holder="holder", who="Ada")
            armed = lab.wait_for_holder(lambda h: self.arming(lab, h) == "ARMED")
            self.assertEqual(armed.armed_by, "Ada")
            client.call("Holder", "SetSource", level=5e-8, compliance=4.0, **CURRENT)
            self.assertFalse(lab.holder().output_target_on)
            client.call("Holder", "SetOutput", on=True, who="Ada")
            client.call("Holder", "SetTemperature", temperature_k=350.0, who="Ada")
            there = lab.wait_for_holder(lambda h: not h.ramping and h.source_setpoint == 5e-8
                                        and h.temperature_setpoint_k == 350.0)
            self.assertTrue(there.output_target_on and there.heater_target_on)
            self.assertEqual((there.source_target, there.compliance, there.temperature_target_k), (5e-8, 4.0, 350.0))
            self.assertEqual(self.outputs(lab), (True, True))
            world = ask(lab, "status")["holder"]
            self.assertAlmostEqual(world["current_a"], 5e-8, delta=1e-15)
            self.assertAlmostEqual(world["temperature_k"], 350.0, places=6)
            client.call("Holder", "Disarm", who="Ada")
            self.await_off(lab)
            off = lab.wait_for_holder(lambda h: self.arming(lab, h) == "DISARMED")
            self.assertFalse(off.output_target_on or off.heater_target_on)
            audit = [json.loads(line) for line in (lab.folder / "audit.jsonl").read_text().splitlines()]
            self.assertIn("Ada", {line.get("who") for line in audit})

    def test_refuses_what_is_beyond_its_limits_and_says_why(self):
        limits = {"current_a": [-1e-7, 1e-7], "temperature_k": [250.0, 700.0], "voltage_v": [-0.5, 4.5]}
        with harness.Lab(limits=limits) as lab:
            client = lab.client
            client.call("Holder", "Arm", who="Ada")
            before = lab.wait_for_holder(lambda h: self.arming(lab, h) == "ARMED")
            for reason, limit, value, unit, method, fields in (
                    ("ABOVE_LIMIT", 1e-7, 2e-7, "A", "SetSource", {"level": 2e-7, "compliance": 4.0, **CURRENT}),
                    ("BELOW_LIMIT", -1e-7, -2e-7, "A", "SetSource", {"level": -2e-7, "compliance": 4.0, **CURRENT}),
                    ("COMPLIANCE_ABOVE_LIMIT", 4.5, 5.0, "V", "SetSource", {"level": 0.0, "compliance": 5.0, **CURRENT}),
                    ("ABOVE_LIMIT", 700.0, 701.0, "K", "SetTemperature", {"temperature_k": 701.0, "who": "Ada"}),
                    ("BELOW_LIMIT", 250.0, 249.0, "K", "SetTemperature", {"temperature_k": 249.0, "who": "Ada"})):
                with self.subTest(reason=reason, unit=unit):
                    why = client.refused("Holder", method, **fields)
                    self.assertEqual((why.reason, why.domain), (reason, "latticed"))
                    self.assertEqual((float(why.metadata["limit"]), float(why.metadata["value"]), why.metadata["unit"]),
                                     (limit, value, unit))
            for value in (math.nan, math.inf, -math.inf, 1e308):
                for method, fields in (("SetSource", {"level": value, "compliance": 4.0, **CURRENT}),
                                       ("SetSource", {"level": 0.0, "compliance": value, **CURRENT}),
                                       ("SetTemperature", {"temperature_k": value, "who": "Ada"})):
                    with self.subTest(method=method, value=value):
                        why = client.refused("Holder", method, **fields)
                        self.assertIn(why.code, (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE))
                        self.assertIn(why.reason, ("NOT_FINITE", "INVALID_VALUE", "ABOVE_LIMIT", "BELOW_LIMIT",
                                                   "COMPLIANCE_ABOVE_LIMIT", "COMPLIANCE_REQUIRED"))
            self.assertEqual(client.refused("Holder", "SetSource", level=1e-9, who="Ada").reason, "INVALID_VALUE")
            self.assertEqual(client.refused("Holder", "Arm", holder="other", who="Ada").reason, "NOT_FOUND")
            self.assertEqual(client.refused("Holder", "Arm", who="Ada", timeout=None).reason, "DEADLINE_REQUIRED")
            after = lab.holder()
            self.assertEqual((after.source_target, after.compliance, after.temperature_target_k, self.arming(lab)),
                             (before.source_target, before.compliance, before.temperature_target_k, "ARMED"))
            self.assertEqual(self.outputs(lab), (False, False))

    def test_is_safe_from_any_state_and_as_often_as_one_likes(self):
        with harness.Lab() as lab:
            client = lab.client
            for immediately in (False, True):
                for begin in ("DISARMED", "ARMED", "ON"):
                    with self.subTest(begin=begin, immediately=immediately):
                        if begin == "ARMED":
                            client.call("Holder", "Arm", who="Ada")
                        elif begin == "ON":
                            self.switch_on(lab)
                        # No deadline either: who may control may always switch off.
                        for timeout in (None, harness.DEADLINE_S):
                            client.call("Holder", "SafeOff", who="Ada", immediately=immediately, timeout=timeout)
                        self.await_off(lab)
                        lab.wait_for_holder(lambda h: self.arming(lab, h) == "DISARMED")
                        self.assertEqual(client.refused("Holder", "SetOutput", on=True, who="Ada").reason, "DISARMED")

    def test_is_switched_off_by_its_own_socket_while_the_daemon_hangs(self):
        with PatientLab() as lab:
            self.switch_on(lab)
            lab.daemon.send_signal(signal.SIGSTOP)
            try:
                said = subprocess.run([harness.BIN / "latticectl", "safe-off", "--local", lab.folder / "safe-off.sock"],
                                      capture_output=True, text=True, timeout=harness.DEADLINE_S)
                self.assertEqual(said.returncode, 0, said.stderr)
                self.await_off(lab)
            finally:
                lab.daemon.send_signal(signal.SIGCONT)
            audit = [json.loads(line)["event"] for line in (lab.folder / "audit.jsonl").read_text().splitlines()]
            self.assertNotIn("daemon_gone", audit[audit.index("intent"):audit.index("safe_off")])
            lab.wait_for_holder(lambda h: self.arming(lab, h) == "DISARMED")

    def test_is_off_within_a_second_when_the_daemon_dies(self):
        with harness.Lab(limits={"temperature_k_per_s": 5000.0, "current_a_per_s": 1e-5}) as lab:
            self.switch_on(lab)
            lab.daemon.kill()
            died = time.monotonic()
            lab.daemon.wait()
            self.await_off(lab)
            self.assertLess(time.monotonic() - died, PROMISED_OFF_S)
            # A daemon that is started again finds it off, and leaves it so.
            lab.start_daemon()
            holder = lab.wait_for_holder(lambda h: self.arming(lab, h) == "DISARMED")
            self.assertFalse(holder.output_target_on or holder.heater_target_on)
            self.assertEqual(self.outputs(lab), (False, False))
            self.switch_on(lab)


if __name__ == "__main__":
    harness.main()
