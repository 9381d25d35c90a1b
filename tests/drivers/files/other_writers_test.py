# SPDX-License-Identifier: GPL-3.0-or-later
"""Files written by the programs people use (mrcfile, tifffile, h5py, HyperSpy), read by ours.

usage: other_writers_test.py MOVIE_DUMP; exit 77 (skipped) where a module is missing."""
import json
import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import mrcfile
    import numpy
    import tifffile
except ImportError as missing:
    print(f"SKIPPED: {missing}")
    sys.exit(77)

DUMP = sys.argv[1]
KEPT = {"int8": "i8", "uint8": "u8", "int16": "i16", "uint16": "u16", "int32": "i32",
        "uint32": "u32", "float32": "f32"}
failures = 0
checked = 0


def pixels(dtype, shape=(4, 33, 47)):
    """Values that use the type's range: signs, high bits, fractions."""
    random = numpy.random.default_rng(7)
    dtype = numpy.dtype(dtype)
    if dtype.kind == "f":
        return (random.normal(size=shape) * 100).astype(dtype)
    span = numpy.iinfo(dtype)
    return random.integers(span.min, span.max, size=shape, dtype=dtype.newbyteorder("="),
                           endpoint=True).astype(dtype)


def expect(path, wanted, **facts):
    """What our reader makes of the file: all pixels, type, and the facts given."""
    global failures, checked
    checked += 1
    name = os.path.basename(path)
    out = path + ".f64"
    run = subprocess.run([DUMP, path, out], capture_output=True, text=True, timeout=60)
    said = json.loads(run.stdout) if run.returncode == 0 else {"error": f"exit {run.returncode}"}
    if wanted.ndim == 2:
        wanted = wanted[None]
    problems = []
    if "error" in said:
        problems.append(said["error"])
    else:
        # f64, i64 and u64 lose what a float has no room for, and nothing more
        kept = KEPT.get(wanted.dtype.newbyteorder("=").name)
        exact = wanted if kept else wanted.astype("f4")
        got = numpy.fromfile(out).reshape(said["shape"])
        if not numpy.array_equal(got, exact.astype("f8").reshape(said["shape"])):
            problems.append("pixels differ")
        if said["type"] != (kept or "f32"):
            problems.append(f"type {said['type']}")
        for key, value in facts.items():
            close = isinstance(value, str) and said[key] == value or (
                not isinstance(value, str) and abs(said[key] - value) <= 1e-5 * abs(value))
            if not close:
                problems.append(f"{key} is {said[key]}, expected {value}")
    for problem in problems:
        print(f"FAILED {name}: {problem}")
    failures += bool(problems)


def check_mrc(folder):
    for dtype in ("int8", "int16", "uint16", "float32", "float16"):
        path = f"{folder}/{dtype}.mrc"
        with mrcfile.new(path) as file:
            file.set_data(pixels(dtype))
            file.set_image_stack()
            file.voxel_size = 0.5
        expect(path, pixels(dtype), format="mrc", pixel_size_nm=0.05)


def check_tiff(folder):
    grey = {"photometric": "minisblack"}
    for dtype in list(KEPT) + ["float16", "float64", "uint64", "int64"]:
        for order in "<", ">":
            path = f"{folder}/{dtype}{'le' if order == '<' else 'be'}.tif"
            tifffile.imwrite(path, pixels(dtype), byteorder=order, **grey)
            expect(path, pixels(dtype), format="tiff")
    forms = {
        "big": {"bigtiff": True},
        "deflate": {"compression": "zlib"},
        "deflate_predictor": {"compression": "zlib", "predictor": True},
        "tiled": {"tile": (16, 32)},
        "tiled_deflate": {"tile": (16, 16), "compression": "zlib"},
        "strips": {"rowsperstrip": 5},
        "one_directory": {"metadata": {"axes": "TYX"}, "contiguous": True},
    }
    for name, form in forms.items():
        path = f"{folder}/{name}.tif"
        tifffile.imwrite(path, pixels("uint16"), **grey, **form)
        expect(path, pixels("uint16"), format="tiff")
    tifffile.imwrite(f"{folder}/single.tif", pixels("uint16")[0], **grey)
    expect(f"{folder}/single.tif", pixels("uint16")[0])
    # ImageJ writes letters beyond ASCII as backslash, u and four digits
    for unit, scale, size in (("nm", 1, 0.0125), ("um", 1e3, 1e-5), ("micron", 1e3, 2e-5),
                              ("\\u00B5m", 1e3, 3e-5), ("\\u00C5", 0.1, 0.5)):
        path = f"{folder}/imagej_{size}_{scale}.tif"
        tifffile.imwrite(path, pixels("uint16"), imagej=True, resolution=(1 / size, 1 / size),
                         metadata={"unit": unit, "finterval": 0.04, "axes": "TYX"})
        expect(path, pixels("uint16"), pixel_size_nm=size * scale, frame_period_s=0.04)
    path = f"{folder}/a.ome.tif"
    tifffile.imwrite(path, pixels("uint16"), **grey, metadata={
        "axes": "TYX", "PhysicalSizeX": 12.5, "PhysicalSizeXUnit": "pm", "PhysicalSizeY": 12.5,
        "PhysicalSizeYUnit": "pm", "TimeIncrement": 40, "TimeIncrementUnit": "ms"})
    expect(path, pixels("uint16"), pixel_size_nm=0.0125, frame_period_s=0.04)


def check_hdf5(folder):
    for dtype in list(KEPT) + [">u2", ">f4", "float16", "float64", "int64", "uint64"]:
        path = f"{folder}/{numpy.dtype(dtype).str[1:]}{dtype[0] == '>'}.h5"
        with h5py.File(path, "w") as file:
            file["stack"] = pixels(dtype)
        expect(path, pixels(dtype), format="hdf5")
    for libver in "earliest", "latest":
        for name, form in {"gzip": {"compression": "gzip"}, "lzf": {"compression": "lzf"},
                           "shuffled": {"compression": "gzip", "shuffle": True},
                           "tiles": {"chunks": (3, 10, 20)}, "growing": {"maxshape": (None, 33, 47)},
                           "checked": {"fletcher32": True}}.items():
            path = f"{folder}/{name}_{libver}.h5"
            with h5py.File(path, "w", libver=libver) as file:
                file.create_dataset("stack", data=pixels("uint16"), **form)
            expect(path, pixels("uint16"))
    with h5py.File(f"{folder}/scan.h5", "w") as file:
        file["four"] = pixels("uint16", (2, 3, 8, 9))
    expect(f"{folder}/scan.h5", pixels("uint16", (2, 3, 8, 9)))
    path = f"{folder}/movie.nxs"
    with h5py.File(path, "w") as file:  # variable-length attributes, as h5py writes them
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "images"})
        images = entry.create_group("images")
        images.attrs.update({"NX_class": "NXdata", "signal": "data", "axes": ["time", "y", "x"]})
        images["data"] = pixels("float32")
        for name, count, step, unit in ("time", 4, 0.2, "s"), ("y", 33, 0.3, "\u00c5"), (
                "x", 47, 0.3, "\u00c5"):
            images[name] = numpy.arange(count) * step
            images[name].attrs["units"] = unit
    expect(path, pixels("float32"), format="nexus", pixel_size_nm=0.03, frame_period_s=0.2)


def check_hyperspy(folder):
    try:
        import hyperspy.api as hyperspy
    except Exception as problem:  # it needs half of the scientific stack
        print(f"HyperSpy's own files are left out: {problem}")
        return
    hyperspy.set_log_level("ERROR")
    for dtype in "uint16", "float32":
        signal = hyperspy.signals.Signal2D(pixels(dtype))
        for axis, name in zip(signal.axes_manager.signal_axes, "xy"):
            axis.name, axis.scale, axis.units = name, 0.02, "nm"  # nameless ones NeXus leaves out
        time = signal.axes_manager[0]
        time.name, time.scale, time.units = "time", 0.5, "s"
        for extension in "hspy", "tif", "nxs":
            path = f"{folder}/hyperspy_{dtype}.{extension}"
            signal.save(path, overwrite=True)
            facts = {"pixel_size_nm": 0.02}
            if extension == "hspy":
                facts |= {"format": "hspy", "frame_period_s": 0.5}
            expect(path, pixels(dtype), **facts)


with tempfile.TemporaryDirectory() as temporary:
    for check in check_mrc, check_tiff, check_hdf5, check_hyperspy:
        check(temporary)
print(f"{checked - failures} of {checked} files read as they were written")
sys.exit(1 if failures or checked < 60 else 0)
