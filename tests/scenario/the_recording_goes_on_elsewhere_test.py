#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recording whose file is removed in the middle of a run goes on in the second directory, an alert says so, and the run
ends well. Without a second directory the run goes on unrecorded, or ends, as configured, and an alert says that."""
import json
import pathlib
import subprocess
import unittest

import h5py

import harness


def verified(path):
    said = subprocess.run([harness.BIN / "latticectl", "--json", "verify", path], capture_output=True, text=True,
                          timeout=harness.DEADLINE_S)
    return json.loads(said.stdout)


class TheRecordingGoesOnElsewhere(unittest.TestCase):
    def alerts(self, lab):
        return [alert for alert in lab.client.call("Alerts", "List").alerts if alert.rule == "recording"]

    def run_and_remove(self, lab):
        lab.start_run()
        lab.wait_for_frames(10)
        part, = lab.recordings.glob("*.part")
        part.unlink()
        return part

    def test_where_there_is_a_second_directory(self):
        for profile in ("portable", "compact"):
            with self.subTest(profile=profile), \
                    harness.Lab(guard=False, record={"second_directory": "second", "profile": profile}) as lab:
                part = self.run_and_remove(lab)
                alert = harness.wait_for(lambda: self.alerts(lab), "an alert")[0]
                self.assertEqual((alert.quantity, alert.detector), ("recording_moved", "camera"))
                self.assertIn("removed", alert.text)
                lab.wait_for_frames(lab.status().detectors[0].measured + 10)
                lab.client.call("Acquisition", "Stop")
                status = lab.wait_for_state("IDLE", "FAULT")
                self.assertEqual((lab.state(status), status.recording.error), ("IDLE", ""))
                second, = status.recording.files  # the first is gone, and so are its frames
                self.assertEqual(pathlib.Path(second).parent.name, "second")
                self.assertEqual(list(lab.recordings.iterdir()), [])
                path = lab.folder / second
                self.assertEqual((path.name, verified(path)["problems"]), (part.with_suffix("").name, []))
                with h5py.File(path) as file:
                    ids = list(file["entry/measurement/event1/frame_info/frame_id"])
                    self.assertEqual(ids[-1] + 1, status.detectors[0].measured)
                    self.assertEqual(status.recording.frames, len(ids))
                    self.assertEqual(file["entry/latticed/continues"][()].decode(), str(part))
                    self.assertIn(b"recording_moved", file["entry/events"]["source"])

    def test_where_there_is_none(self):
        for on_failure in ("go_on", "stop_run"):
            with self.subTest(on_failure=on_failure), \
                    harness.Lab(guard=False, record={"on_failure": on_failure}) as lab:
                self.run_and_remove(lab)
                alert = harness.wait_for(lambda: self.alerts(lab), "an alert")[0]
                self.assertEqual(alert.quantity, "recording_ended")
                if on_failure == "go_on":
                    lab.wait_for_frames(lab.status().detectors[0].measured + 10)
                    lab.client.call("Acquisition", "Stop")
                status = lab.wait_for_state("IDLE", "FAULT")
                self.assertIn("removed", status.recording.error)


if __name__ == "__main__":
    harness.main()
