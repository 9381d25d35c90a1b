#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fifty clients watch the measurements, each by a connection of its own, and ten of them take nothing: only their own
counters show it."""
import unittest

import harness

FRAMES, READERS, STALLED = 500, 40, 10


class FiftySubscribers(unittest.TestCase):
    def test_of_which_ten_are_stalled_change_only_their_own_counters(self):
        # A reader's queue in the server has room for the whole run (512 events), so a busy machine costs no reader a
        # frame; those that are stalled want twice as much, and more than queue and connection hold.
        scenario = harness.small_scenario(frames=FRAMES)
        with harness.Lab(scenario, detector={"frame_slots": 64}) as lab:
            readers = [lab.new_client().stream("Measurements", "Watch").accepted().gather() for _ in range(READERS)]
            of_readers = set(lab.subscribers())
            stalled = [lab.stalled_stream("Measurements", "Watch", holder_updates=True) for _ in range(STALLED)]
            self.assertEqual((len(of_readers), len(lab.subscribers())), (READERS, READERS + STALLED))
            lab.start_run()
            for reader in readers:
                reader.wait_for(lambda event: event.HasField("run_ends"), "the run's end")
            status = lab.wait_for_state("IDLE")
            self.assertEqual((status.ended, status.detectors[0].measured, status.detectors[0].lost),
                             ("completed", FRAMES, 0))

            edges = lab.edges()
            subscribers = lab.subscribers()
            self.assertEqual(len(subscribers), READERS + STALLED)
            # Frames a busy machine left the publisher no time for are missed by all alike; pictures drop what nobody
            # could look at in time. Besides these nothing is dropped but by the stalled.
            unpublished = edges["camera", "publish"].dropped
            self.assertLess(unpublished, FRAMES // 10)
            for (detector, name), edge in edges.items():
                if name in subscribers and name not in of_readers:
                    self.assertGreater(edge.dropped, 0, name)
                elif name not in ("publish", "preview"):
                    self.assertEqual((edge.dropped, sum(edge.lost.values())), (0, 0), f"{detector} {name}")
                self.assertEqual(getattr(edge, "in"), edge.out + edge.dropped + sum(edge.lost.values()) + edge.level)

            for reader in readers:
                events = reader.end()
                seen = [event.measurement.seq for event in events if event.HasField("measurement")]
                self.assertEqual(seen, sorted(set(seen)))
                self.assertEqual((len(seen), events[-1].skipped), (FRAMES - unpublished, unpublished))
            ids, lost, _ = lab.recorded()
            self.assertEqual((ids, lost), (list(range(FRAMES)), []))

            # Each of the stalled is told its own number.
            dropped = sorted(edge.dropped for name, edge in subscribers.items() if name not in of_readers)
            told = sorted(stream.first(lambda event: event.HasField("run_ends")).skipped for stream in stalled)
            self.assertEqual(told, [count + unpublished for count in dropped])


if __name__ == "__main__":
    harness.main()
