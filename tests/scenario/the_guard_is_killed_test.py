#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard is killed during a run: the outputs go off, the run goes on with the holder's last values, older and older and
marked so, and nothing is switched on again before somebody arms the guard that came back."""
import unittest

import h5py

import harness
from world_link import ask

SERVING, NOT_SERVING = 1, 2


class TheGuardIsKilled(unittest.TestCase):
    def test_and_comes_back(self):
        with harness.Lab(harness.small_scenario()) as lab:
            client = lab.client
            arming = client.api.enum("ArmingState")
            is_on = lambda: ask(lab, "status")["holder"]["output"]
            health = lambda part: client.call("grpc.health.v1.Health", "Check", service=part).status

            def switch_on():
                client.call("Holder", "Arm", who="Ada")
                client.call("Holder", "SetSource", mode="SOURCE_MODE_CURRENT", level=1e-8, compliance=4.0, who="Ada")
                client.call("Holder", "SetOutput", on=True, who="Ada")
                harness.wait_for(is_on, "the output on")
            lab.start_run()
            switch_on()
            measurements = client.stream("Measurements", "Watch")
            measurements.first(lambda e: e.measurement.holders and e.measurement.holders[0].output_on)

            lab.guard.kill()
            lab.guard.wait()
            harness.wait_for(lambda: not lab.status().guard_reachable, "guard_reachable false")
            harness.wait_for(lambda: not is_on(), "the output off, with nobody left to switch it")
            self.assertEqual(lab.holder().arming, arming["ARMING_STATE_UNREACHABLE"])
            self.assertTrue(lab.holder().cause)
            self.assertEqual(health("latticed.v1.Holder"), NOT_SERVING)
            self.assertEqual(client.refused("Holder", "SetOutput", on=True, who="Ada").reason, "GUARD_UNREACHABLE")
            self.assertEqual(client.refused("Holder", "SafeOff", who="Ada").reason, "GUARD_UNREACHABLE")
            # The run goes on: ages grow with the frames, and every value says that it is not final.
            seen = measurements.until(lambda e: e.measurement.holders and e.measurement.holders[0].age_s > 1.0)
            aged = [e.measurement.holders[0] for e in seen if e.HasField("measurement") and e.measurement.holders]
            ages = [holder.age_s for holder in aged if holder.age_s > 0.2]
            self.assertEqual(ages, sorted(ages))
            self.assertTrue(all(holder.provisional for holder in aged if holder.age_s > 0.2))
            self.assertEqual(lab.state(lab.status()), "RUNNING")

            lab.start_guard()
            back = lab.wait_for_holder(lambda h: h.arming == arming["ARMING_STATE_DISARMED"])
            self.assertFalse(back.output_target_on)
            self.assertTrue(lab.status().guard_reachable)
            self.assertEqual(health("latticed.v1.Holder"), SERVING)
            self.assertFalse(is_on())
            self.assertEqual(client.refused("Holder", "SetOutput", on=True, who="Ada").reason, "DISARMED")
            measurements.first(lambda e: e.measurement.holders and e.measurement.holders[0].age_s < 0.5)
            switch_on()
            measurements.cancel()
            status = client.call("Acquisition", "Stop")
            self.assertEqual((lab.state(status), status.ended), ("IDLE", "stopped"), status.fault)
            with h5py.File(lab.recording()[0]) as file:
                said = [row["text"].decode() for row in file["entry/events"] if row["source"] == b"guard"]
                self.assertEqual(said, ["the guard does not answer", "the guard answers"])
                self.assertEqual(len(file["entry/measurement/event1/frame_info/frame_id"]),
                                 status.detectors[0].measured)


if __name__ == "__main__":
    harness.main()
