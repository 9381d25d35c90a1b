#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that comes late, or again, begins in the past: from there on it gets every event there was and then those that
come, each once; where the past is forgotten it is told how far back it can go."""
import unittest

import grpc

import harness


class HistoryIsReplayed(unittest.TestCase):
    def frames(self, events):
        """Numbers of the frames in these events, those that were lost too."""
        seen = []
        for event in events:
            if event.HasField("measurement"):
                seen.append(event.measurement.seq)
            elif event.HasField("lost"):
                seen += range(event.lost.seq, event.lost.seq + event.lost.count)
        return seen

    def check(self, lab, events, wanted, run_before=0):
        """These frames, in order and once; but for what a busy machine left the publisher no time for, which no client
        can have."""
        seen = self.frames(events)
        self.assertEqual(seen, sorted(set(seen)))
        missing = set(wanted) - set(seen)
        self.assertEqual(set(seen) - set(wanted), set())
        unpublished = lab.edges()["camera", "publish"].dropped + run_before
        self.assertLessEqual(len(missing), unpublished, f"missing: {sorted(missing)}")
        self.assertLessEqual(max(event.skipped for event in events), unpublished)
        self.assertLess(unpublished, 10)

    def until_its_end(self, stream):
        return stream.until(lambda event: event.HasField("run_ends"))

    def plain(self, events):
        """What is in the events, without what differs from client to client."""
        return [event.SerializePartialToString() for event in events]

    def test_of_a_run_that_goes_on(self):
        more = '[[fault]]\nframe = 30\nkind = "drop"\ncount = 2'
        with harness.Lab(harness.small_scenario(frames=150, more=more)) as lab:
            first = lab.client.stream("Measurements", "Watch", holder_updates=True).accepted().gather()
            lab.start_run()
            late = []
            for frame in (20, 60, 100):  # each in the middle of the stream, from another place in the past
                first.wait_for(lambda event: event.measurement.seq >= frame, f"frame {frame}")
                late += [(from_seq, lab.new_client().stream("Measurements", "Watch", from_seq=from_seq,
                                                            holder_updates=True).accepted().gather())
                         for from_seq in (0, 7, frame - 1)]
            first.wait_for(lambda event: event.HasField("run_ends"), "the run's end")
            all_events = first.end()
            self.check(lab, all_events, range(150))
            for from_seq, stream in late:
                stream.wait_for(lambda event: event.HasField("run_ends"), "the run's end")
                events = stream.end()
                self.assertTrue(events[0].HasField("run_begins"))
                self.check(lab, events, range(from_seq, 150))
                updates = [event.holder_update.seq for event in events if event.HasField("holder_update")]
                measured = [event.measurement.seq for event in events if event.HasField("measurement")]
                self.assertEqual(updates, measured)
                if from_seq == 0:
                    self.assertEqual(self.plain(events), self.plain(all_events))

    def test_of_a_run_that_is_over(self):
        with harness.Lab(harness.small_scenario(frames=60)) as lab:
            lab.start_run()
            lab.wait_for_state("IDLE")
            for from_seq, fields in ((0, {}), (59, {}), (10, {"detector": "camera"})):
                events = self.until_its_end(lab.client.stream("Measurements", "Watch", from_seq=from_seq, **fields))
                self.check(lab, events, range(from_seq, 60))
            tenth = self.until_its_end(lab.client.stream("Measurements", "Watch", from_seq=5, decimation=10))
            self.check(lab, tenth, [10, 20, 30, 40, 50])

    def test_of_the_last_run_then_of_the_next_one(self):
        with harness.Lab(harness.small_scenario(frames=20)) as lab:
            lab.start_run()
            lab.wait_for_state("IDLE")
            stream = lab.client.stream("Measurements", "Watch", from_seq=15).accepted()
            last = self.until_its_end(stream)
            self.check(lab, last, range(15, 20))
            run_before = lab.edges()["camera", "publish"].dropped
            lab.start_run()
            following = self.until_its_end(stream)
            self.check(lab, following, range(20), run_before)
            for epoch, events in ((1, last), (2, following)):
                self.assertEqual({event.stamp.epoch for event in events}, {epoch})

    def test_as_far_as_it_reaches(self):
        # 32 events are 16 frames with their holder updates.
        with harness.Lab(harness.small_scenario(frames=100), serve={"history_frames": 32}) as lab:
            lab.start_run()
            lab.wait_for_state("IDLE")
            gone = lab.client.refused("Measurements", "Watch", from_seq=0)
            self.assertEqual((gone.code, gone.reason), (grpc.StatusCode.OUT_OF_RANGE, "HISTORY_GONE"))
            oldest = int(gone.metadata["oldest"])
            self.assertIn(oldest, range(60, 100))
            self.assertIn(str(oldest), gone.message)
            events = self.until_its_end(lab.client.stream("Measurements", "Watch", from_seq=oldest, holder_updates=True))
            self.check(lab, events, range(oldest, 100))
            just_before = lab.client.refused("Measurements", "Watch", from_seq=oldest - 1)
            self.assertEqual((just_before.reason, just_before.metadata["oldest"]), ("HISTORY_GONE", str(oldest)))

    def test_before_the_first_run_and_from_the_future(self):
        with harness.Lab(harness.small_scenario(frames=30)) as lab:
            early = lab.client.stream("Measurements", "Watch", from_seq=0).accepted()
            future = lab.client.stream("Measurements", "Watch", from_seq=25).accepted()
            lab.start_run()
            self.check(lab, self.until_its_end(early), range(30))
            # What comes now comes: 25 is not of a run that had not begun.
            self.assertEqual(self.frames(self.until_its_end(future))[-1], 29)

    def test_and_a_client_that_comes_back_misses_nothing(self):
        with harness.Lab(harness.small_scenario(frames=200)) as lab:
            lab.start_run()
            seen, is_over = [], False
            while not is_over:  # a connection that lives for a few frames at a time
                with lab.new_client() as client:
                    stream = client.stream("Measurements", "Watch", from_seq=seen[-1] + 1 if seen else 0)
                    part = []
                    for event in stream:
                        part += self.frames([event])
                        is_over = event.HasField("run_ends")
                        if len(part) >= 25 or is_over:
                            break
                    stream.cancel()
                    seen += part
            self.assertEqual(seen, sorted(set(seen)))
            missing = set(range(200)) - set(seen)
            self.assertLessEqual(len(missing), lab.edges()["camera", "publish"].dropped)
            self.assertLess(len(missing), 10)


if __name__ == "__main__":
    harness.main()
