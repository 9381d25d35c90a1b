#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop, Cancel and Abort are answered in every state, also when they are said twice, by two clients at once, or while
another command is on its way; they leave what they promise, and the next run works."""
import concurrent.futures
import shutil
import unittest

import harness

ENDED = {"Stop": "stopped", "Cancel": "cancelled", "Abort": "aborted"}
STATES = ("IDLE", "CONFIGURED", "ARMED", "RUNNING", "FAULT")


def once(lab, verb):
    return lab.client.call("Acquisition", verb)


def twice(lab, verb):
    lab.client.call("Acquisition", verb)
    return lab.client.call("Acquisition", verb)


def at_once(lab, *calls):
    """Each by a client of its own; their replies or refusals, in this order."""
    def ask(client, call):
        try:
            return client.call("Acquisition", call)
        except harness.Refused as why:
            return why
    clients = [lab.new_client() for _ in calls]
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(ask, clients, calls))


def by_two(lab, verb):
    replies = at_once(lab, verb, verb)
    return replies[-1]


class InEveryState(unittest.TestCase):
    def reach(self, lab, state):
        client = lab.client
        if state == "FAULT":
            lab.configure()
            shutil.rmtree(lab.recordings, ignore_errors=True)
            lab.recordings.write_text("no folder")
            self.assertEqual(client.refused("Acquisition", "Arm").reason, "UNAVAILABLE")
            lab.recordings.unlink()
        elif state != "IDLE":
            lab.configure()
            if state in ("ARMED", "RUNNING"):
                client.call("Acquisition", "Arm")
            if state == "RUNNING":
                client.call("Acquisition", "Start")
        self.assertEqual(lab.state(lab.status()), state)

    def expect_a_run(self, lab):
        lab.start_run(frame_count=3)
        status = lab.wait_for_state("IDLE", "FAULT")
        self.assertEqual((status.ended, status.fault, status.detectors[0].measured), ("completed", "", 3))

    def test_each_leaves_what_it_promises(self):
        with harness.Lab(harness.small_scenario(), guard=False) as lab:
            for verb in ENDED:
                for state in STATES:
                    for how in (once, twice, by_two):
                        with self.subTest(verb=verb, state=state, how=how.__name__):
                            self.reach(lab, state)
                            reply = how(lab, verb)
                            stays = state == "FAULT" and verb != "Abort"
                            self.assertEqual(lab.state(reply), "FAULT" if stays else "IDLE")
                            if state in ("ARMED", "RUNNING"):
                                self.assertEqual(reply.ended, ENDED[verb])
                                self.assertEqual(reply.fault, "")
                            if state == "RUNNING" and verb != "Abort":
                                self.assertEqual(reply.recording.error, "")
                            self.expect_a_run(lab)

    def test_all_three_at_once_end_a_run_once(self):
        with harness.Lab(harness.small_scenario(), guard=False) as lab:
            for _ in range(5):
                self.reach(lab, "RUNNING")
                epoch = lab.status().stamp.epoch
                replies = at_once(lab, "Stop", "Cancel", "Abort", "Stop")
                self.assertEqual([lab.state(reply) for reply in replies], ["IDLE"] * 4)
                self.assertEqual({reply.stamp.epoch for reply in replies}, {epoch})
                self.assertEqual(len({reply.ended for reply in replies}), 1)
                self.assertIn(replies[0].ended, ENDED.values())
            self.expect_a_run(lab)

    def test_while_another_command_is_on_its_way(self):
        # What is on its way is done first or comes too late; nothing is left half done.
        with harness.Lab(harness.small_scenario(), guard=False) as lab:
            for begin, command in (("IDLE", "Configure"), ("CONFIGURED", "Arm"), ("ARMED", "Start")):
                for verb in ENDED:
                    with self.subTest(verb=verb, command=command):
                        self.reach(lab, begin)
                        done, ended = at_once(lab, command, verb)
                        self.assertFalse(isinstance(ended, harness.Refused), ended)
                        if isinstance(done, harness.Refused):
                            self.assertEqual(done.reason, "WRONG_STATE")
                        self.assertEqual(lab.state(lab.client.call("Acquisition", "Abort")), "IDLE")
                        self.expect_a_run(lab)

    def test_an_answer_that_was_lost_is_given_again(self):
        with harness.Lab(harness.small_scenario(), guard=False) as lab:
            lab.configure()
            lab.client.call("Acquisition", "Arm")
            first = lab.client.call("Acquisition", "Start", request_id="go")
            again = lab.new_client().call("Acquisition", "Start", request_id="go")
            self.assertEqual(first, again)
            self.assertEqual(lab.client.refused("Acquisition", "Start", request_id="go 2").reason, "WRONG_STATE")
            stopped = lab.client.call("Acquisition", "Stop", request_id="go")
            self.assertEqual(stopped.ended, "stopped")


if __name__ == "__main__":
    harness.main()
