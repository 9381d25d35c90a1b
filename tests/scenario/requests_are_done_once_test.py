#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A call that is repeated with its request id does nothing a second time and gets the first one's answer; a call that
changes something has a deadline."""
import threading
import unittest

import grpc

import harness


class RequestsAreDoneOnce(unittest.TestCase):
    def test_and_their_answer_is_given_again(self):
        with harness.Lab(guard=False) as lab:
            first = lab.client.call("Session", "AddTag", request_id="a", text="here", who="Ada")
            with lab.new_client() as other:  # the answer was lost with the connection, say
                again = other.call("Session", "AddTag", request_id="a", text="here", who="Ada")
            self.assertEqual(again, first)
            new = lab.client.call("Session", "AddTag", request_id="b", text="here", who="Ada")
            without = [lab.client.call("Session", "AddTag", text="here", who="Ada").tag.id for _ in range(2)]
            tags = lab.client.call("Session", "ListTags").tags
            self.assertEqual([tag.id for tag in tags], [first.tag.id, new.tag.id, *without])

    def test_also_when_they_failed(self):
        with harness.Lab(guard=False) as lab:
            first = lab.client.refused("Acquisition", "Arm", request_id="a")
            lab.configure()
            again = lab.client.refused("Acquisition", "Arm", request_id="a")
            self.assertEqual((again.code, again.reason, again.message), (first.code, first.reason, first.message))
            self.assertEqual(first.reason, "WRONG_STATE")
            self.assertEqual(lab.state(lab.client.call("Acquisition", "Arm", request_id="b")), "ARMED")

    def test_also_when_the_state_is_another_one_meanwhile(self):
        with harness.Lab(harness.small_scenario(frames=20), speed=0) as lab:
            for method, state in (("Configure", None), ("Arm", "ARMED"), ("Start", "RUNNING")):
                reply = lab.client.call("Acquisition", method, request_id="same")  # of each method its own
                if state:
                    self.assertEqual(lab.state(reply), state)
            lab.wait_for_state("IDLE")
            self.assertEqual(lab.state(lab.client.call("Acquisition", "Start", request_id="same")), "RUNNING")
            self.assertEqual(lab.state(lab.status()), "IDLE")
            self.assertEqual(lab.status().stamp.epoch, 1)

    def test_when_the_second_comes_while_the_first_is_under_way(self):
        with harness.Lab(harness.small_scenario()) as lab:
            lab.start_run()
            lab.wait_for_frames(5)
            replies = []
            threads = [threading.Thread(target=lambda: replies.append(
                lab.client.call("Acquisition", "Stop", request_id="stop"))) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(harness.DEADLINE_S)
            self.assertEqual([reply.ended for reply in replies], ["stopped"] * 8)
            self.assertEqual(len({reply.SerializeToString(deterministic=True) for reply in replies}), 1)

    def test_of_the_last_256(self):
        with harness.Lab(guard=False) as lab:
            add = lambda number: lab.client.call("Session", "AddTag", request_id=f"tag {number}", text="t", who="A").tag.id
            first = [add(number) for number in range(256)]
            self.assertEqual([add(number) for number in range(256)], first)
            add(256)
            self.assertGreater(add(0), max(first), "the oldest was forgotten, and is done anew")

    def test_for_holders_and_rules_too(self):
        with harness.Lab() as lab:
            client = lab.client
            arming = client.api.enum("ArmingState")
            armed = client.call("Holder", "Arm", request_id="a", holder="holder", who="Ada")
            lab.wait_for_holder(lambda holder: holder.arming == arming["ARMING_STATE_ARMED"])
            client.call("Holder", "SafeOff")
            lab.wait_for_holder(lambda holder: holder.arming == arming["ARMING_STATE_DISARMED"])
            self.assertEqual(client.call("Holder", "Arm", request_id="a", holder="holder", who="Ada"), armed)
            refused = client.refused("Holder", "SetOutput", holder="holder", on=True, who="Ada")
            self.assertEqual(refused.reason, "DISARMED", "a repeated call arms nothing")
            rule = {"name": "dim", "quantity": "mean_counts", "kind": "limit", "below": 1.0}
            client.call("Alerts", "SetRules", request_id="r", rules=[rule])
            client.call("Alerts", "SetRules", rules=[])
            again = client.call("Alerts", "SetRules", request_id="r", rules=[rule])
            self.assertEqual([r.name for r in again.rules], ["dim"])
            self.assertEqual(len(client.call("Alerts", "GetRules").rules), 0)


class ADeadline(unittest.TestCase):
    READING = {"ListDetectors", "GetStatus", "WatchStatus", "GetCounters", "ListReferences", "List", "Watch", "GetRules",
               "Read", "Get", "ListTags"}

    def test_is_required_of_every_call_that_changes_something(self):
        with harness.Lab() as lab:
            asked = 0
            for service in lab.client.api.services:
                if not service.startswith("latticed."):
                    continue
                for method in lab.client.api.service(service).methods:
                    if method.name in self.READING or method.name in ("SafeOff", "Hold"):
                        continue
                    with self.subTest(f"{service}.{method.name}"):
                        refused = lab.client.refused(service, method.name, timeout=None)
                        self.assertEqual((refused.code, refused.reason),
                                         (grpc.StatusCode.INVALID_ARGUMENT, "DEADLINE_REQUIRED"))
                        asked += 1
            self.assertGreater(asked, 20)
            self.assertEqual(lab.state(lab.status()), "IDLE")

    def test_is_not_asked_of_reading_nor_of_switching_off(self):
        with harness.Lab() as lab:
            self.assertTrue(lab.client.call("Acquisition", "GetStatus", timeout=None).version)
            lab.client.call("Holder", "Arm", holder="holder", who="Ada")
            reply = lab.client.call("Holder", "SafeOff", timeout=None)
            self.assertEqual([holder.name for holder in reply.holders], ["holder"])
            self.assertEqual(lab.client.call("Holder", "Hold", timeout=None).holder.name, "holder")

    def test_ends_a_call_that_waits_and_the_work_goes_on(self):
        with harness.Lab(harness.small_scenario()) as lab:
            lab.start_run()
            lab.wait_for_frames(5)
            try:
                lab.client.call("Acquisition", "Stop", timeout=0.001)
            except harness.Refused as refused:
                self.assertEqual(refused.code, grpc.StatusCode.DEADLINE_EXCEEDED)
                lab.client.call("Acquisition", "Stop")  # where it never arrived
            self.assertEqual(lab.wait_for_state("IDLE").ended, "stopped")


if __name__ == "__main__":
    harness.main()
