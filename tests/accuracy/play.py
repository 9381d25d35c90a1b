# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays one series: sim-world renders it and writes the truth, `latticed acquire` measures it. Two processes that share
nothing but the frames; the truth's folder is named nowhere in what the second one is given."""
import json
import os
import pathlib
import re
import struct
import subprocess
import tempfile
import time

# Words that only the truth may use. A measurement that has one has looked.
TRUTH_WORDS = {"truth", "bound_drift_px", "bound_d_nm", "bound_d_lattice_nm", "hkl", "visible", "jump", "domains",
               "reflections", "phase_fractions", "state_of_charge", "fluence_e_per_nm2", "rim_nm", "event", "scan_matrix",
               "drift_velocity_px_per_s"}
READY_S = 120.0


class Broken(Exception):
    """The series could not be played, or its files are not what they must be."""


def play(series, programs, bounds_every=20):
    """(truth header, {frame: truth}, {seq: measurement})"""
    with tempfile.TemporaryDirectory(prefix="latticed-truth-") as hidden, \
            tempfile.TemporaryDirectory(prefix="latticed-measured-") as folder:
        hidden, folder = pathlib.Path(hidden), pathlib.Path(folder)
        scenario, socket = hidden / "scenario.toml", folder / "world.sock"
        scenario.write_text(series.scenario())
        references = _references(series, programs, scenario, folder)
        world = _start([programs / "sim-world", "--scenario", scenario, "--socket", socket, "--speed", "0", "--truth",
                        hidden / "truth.jsonl", "--bounds", bounds_every], hidden / "world")
        try:
            _wait_ready(world, hidden / "world.out")
            config = folder / "latticed.toml"
            config.write_text(_config(series, socket, references))
            acquire = _start([programs / "latticed", "acquire", "--config", config, "--out", folder / "out"],
                             folder / "acquire")
            status = acquire.wait()
            if status != 0:
                raise Broken(f"latticed acquire ended with {status}: {(folder / 'acquire.err').read_text()[-400:]}")
        finally:
            world.terminate()
            world.wait()
        header, truth = read_truth(hidden / "truth.jsonl")
        measured = read_measurements(folder / "out" / "camera.jsonl")
    check_files(series, truth, measured)
    return header, truth, measured


def _start(command, name):
    with open(f"{name}.out", "wb") as out, open(f"{name}.err", "wb") as err:
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *map(str, command)], cwd=pathlib.Path(name).parent,
                                stdin=subprocess.DEVNULL, stdout=out, stderr=err)


def _wait_ready(process, out):
    until = time.monotonic() + READY_S
    while "ready" not in out.read_text():
        if process.poll() is not None or time.monotonic() > until:
            raise Broken(f"sim-world did not start: {out.with_suffix('.err').read_text()[-400:]}")
        time.sleep(0.02)


def _references(series, programs, scenario, folder):
    """Keys of the detector. Without patterns the dark level is the same in every pixel and known exactly."""
    if not series.patterned:
        dark_adu = float(re.search(r"^dark_adu = (.*)$", series.scenario() + "\ndark_adu = 100.0\n", re.M)[1])
        write_constant_mrc(folder / "dark.mrc", series.size, dark_adu)
        return {"dark": str(folder / "dark.mrc")}
    subprocess.run([programs / "sim-world", "--scenario", scenario, "--references", folder], check=True,
                   stdout=subprocess.DEVNULL)
    return {"dark": str(folder / "dark.mrc"), "gain": str(folder / "gain.mrc")}


def write_constant_mrc(path, size, value):
    """MRC mode 2 (float), one image."""
    header = bytearray(1024)
    struct.pack_into("<10i", header, 0, size, size, 1, 2, 0, 0, 0, size, size, 1)
    struct.pack_into("<3f", header, 40, float(size), float(size), 1.0)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    header[208:216] = b"MAP \x44\x44\x00\x00"
    path.write_bytes(bytes(header) + struct.pack("<f", value) * (size * size))


def _config(series, socket, references):
    keys = {"name": "camera", "driver": "simulator", **references}
    return "\n".join(["[pipeline]\nworkers = 1\npin_workers = false\n[output]\nview = false\n[[detector]]",
                      *(f"{key} = {json.dumps(value)}" for key, value in keys.items()),
                      "[detector.simulator]", f"socket = {json.dumps(str(socket))}",
                      "[detector.prepare]", f"bin = {series.bin}", series.more_keys()])


def read_truth(path):
    header, frames = None, {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        if "truth" in entry:
            header, frames = entry, {}
        elif "event" not in entry:
            frames[entry["frame"]] = entry
    return header, frames


def read_measurements(path):
    measured = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        if entry["seq"] in measured:
            raise Broken(f"frame {entry['seq']} is told twice")
        measured[entry["seq"]] = entry
    return measured


def words_of(value):
    """All keys of a JSON value, however deep."""
    if isinstance(value, dict):
        return set(value) | {word for inner in value.values() for word in words_of(inner)}
    if isinstance(value, list):
        return {word for inner in value for word in words_of(inner)}
    return set()


def check_files(series, truth, measured):
    """What must hold before any number is worth comparing."""
    if set(truth) != set(range(series.frames)):
        raise Broken(f"the truth has {len(truth)} frames of {series.frames}")
    if list(measured) != list(range(series.frames)):
        missing = sorted(set(range(series.frames)) - set(measured))
        raise Broken(f"not every frame is measured or listed as lost, once and in order; missing {missing[:5]}")
    told = {word for entry in measured.values() for word in words_of(entry)} & TRUTH_WORDS
    if told:
        raise Broken(f"the measurements use words of the truth: {', '.join(sorted(told))}")
    exact = sum(max(abs(a - b) for a, b in zip(measured[n]["drift_px"], truth[n]["drift_px"])) < 1e-6
                for n in range(1, series.frames) if "lost" not in measured[n])
    if exact > 0.02 * series.frames:
        raise Broken(f"{exact} frames have the very drift of the truth")


def programs_folder():
    """Where the programs are: LATTICED_BIN, or the release build."""
    default = pathlib.Path(__file__).resolve().parents[2] / "build" / "release" / "bin"
    return pathlib.Path(os.environ.get("LATTICED_BIN", default)).resolve()
