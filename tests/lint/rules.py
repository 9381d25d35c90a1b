# SPDX-License-Identifier: GPL-3.0-or-later
"""What the house asks of its own files. Each rule takes a Tree and yields problems as text."""
import fnmatch
import os
import pathlib
import re
import subprocess

TOPS = (".ci", "clients", "cmake", "deploy", "docs", "drivers", "proto", "server", "sim", "tests")
SKIPPED = {".git", "build", "rehearsal", "__pycache__"}

# Who may include whom, by folder. A folder may always include itself; the standard library and POSIX
# are everyone's. A new folder belongs here before it is used.
MAY_INCLUDE = {
    "drivers/kit": [],
    "drivers/toml": ["drivers/kit"],
    "drivers/files": ["drivers/kit"],
    "drivers/replay": ["drivers/kit", "drivers/files"],
    "drivers/simulator": ["drivers/kit", "sim/link"],  # the link is the simulated device's bus
    "server/base": ["drivers/kit"],
    "server/frame": ["drivers/kit", "server/base"],
    "server/signal": ["drivers/kit", "server/base", "server/frame"],
    "server/acquire": ["drivers/kit", "server/base", "server/frame"],
    "server/process": ["drivers/kit", "server/base", "server/frame", "server/signal", "server/acquire"],
    "server/config": ["drivers/*", "server/base", "server/frame", "server/process", "server/signal",
                      "server/record"],  # its choices, a header
    "server/figure": ["drivers/kit", "server/base"],
    "server/publish": ["drivers/kit", "server/base", "server/frame", "server/signal", "server/process",
                       "server/figure"],
    "server/holder": ["drivers/kit", "server/base", "server/guard"],  # the guard's words
    "server/guard": ["drivers/*", "server/base"],
    "server/record": ["drivers/kit", "drivers/files", "server/base", "server/frame", "server/signal", "server/process",
                      "server/holder"],
    "server/rpc": ["drivers/kit", "server/base"],
    "server/live": ["server/rpc", "drivers/kit", "server/base", "server/frame", "server/signal", "server/process",
                    "server/holder", "server/publish"],
    "server/control": ["drivers/*", "server/rpc", "server/base", "server/frame", "server/signal", "server/process",
                       "server/holder", "server/config", "server/record", "server/live", "server/publish", "server/guard"],
    "server/app": ["drivers/*", "server/*"],
    "clients/latticectl": ["drivers/kit", "drivers/toml", "server/base", "server/guard", "server/figure",
                           "server/record"],  # files on this machine need no server
    "sim": ["drivers/kit", "drivers/toml", "sim/*"],
    "tests": ["*"],
}

# Libraries of others, and the only files that may include them: .cpp files, or the one wrapper header.
LIBRARIES = {
    "fftw3.h": ["server/signal/frame_fft.cpp", "server/app/bench.cpp"],  # bench: the floor alone
    "opencv2/*": ["server/figure/*.cpp", "server/figure/canvas.hpp", "server/publish/*.cpp", "server/live/jpeg.cpp",
                 "server/control/reference_store.cpp"],
    "hdf5.h": ["drivers/files/*.cpp", "drivers/files/hdf5_*.hpp", "server/record/*"],
    "blosc.h": ["drivers/files/hdf5_filters.cpp", "server/record/image_packer.cpp"],
    "tiffio.h": ["drivers/files/tiff_*.cpp", "drivers/files/tiff_image.hpp"],
    "toml++/*": ["drivers/toml/table_reader.cpp"],
    "boost/*": ["sim/world/link_server.cpp", "server/control/control_thread.cpp"],
    "CLI/*": ["server/app/*.cpp", "server/guard/main.cpp", "sim/*/main.cpp", "clients/latticectl/*.cpp"],
    "spdlog/*": ["server/app/*.cpp", "server/control/*.cpp", "server/live/*.cpp", "server/guard/*.cpp", "server/holder/*.cpp",
                 "server/base/log.cpp", "server/publish/*.cpp"],
    "fmt/*": ["*.cpp"],
    "nlohmann/json_fwd.hpp": ["*"],  # declarations only
    "nlohmann/*": ["*.cpp"],
    "latticed/v1/*.h": ["server/rpc/*", "server/live/*", "server/control/*", "server/app/*.cpp", "clients/*"],  # generated
    "grpc/health/*.h": ["server/control/health_service.hpp"],  # generated
    "grpcpp/*": ["server/rpc/*", "server/live/*", "server/control/*", "server/app/*.cpp", "clients/*"],
    "google/protobuf/*": ["server/rpc/*.cpp", "server/live/*.cpp", "server/live/answers.hpp", "server/control/*.cpp", "clients/*.cpp"],
    "zmq.h*": ["server/live/zmq_*.cpp"],
    "openssl/*": ["server/control/*.cpp"],
    "gtest/*": ["tests/*"],
    "gmock/*": ["tests/*"],
}
POSIX = re.compile(
    r"(execinfo|fcntl|netdb|poll|pthread|sched|signal|stdlib|unistd)\.h$|(sys|linux)/\w+\.h$|\w+intrin\.h$")

BANNED_NAMES = {"common", "misc", "data"}  # as the whole name
BANNED_ENDINGS = {"util", "utils", "manager", "helper", "helpers", "impl"}  # also as its last word
BANNED_EXCEPT = {"sim/data"}  # crystal data: there the word is the thing

# Folders that hold many people's clones: naming one of these names no machine.
PLAIN_FOLDERS = {"/", "/tmp", "/home", "/root", "/srv", "/opt", "/usr", "/usr/src", "/var", "/build", "/mnt"}


class Tree:
    """Files under a root as {path from the root: text}; binary files are left out."""

    def __init__(self, root, files=None):
        self.root = pathlib.Path(root)
        self.files = self._read() if files is None else files

    def _read(self):
        files = {}
        folders = [self.root / top for top in TOPS]
        paths = [p for p in self.root.iterdir() if p.is_file()]
        for folder in folders:
            for at, below, names in os.walk(folder):
                below[:] = [name for name in below if name not in SKIPPED]
                paths += [pathlib.Path(at) / name for name in names]
        for path in sorted(paths):
            try:
                files[path.relative_to(self.root).as_posix()] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                pass
        return files

    def matching(self, *patterns):
        return {p: t for p, t in self.files.items() if any(fnmatch.fnmatch(p, x) for x in patterns)}

    def cpp(self):
        return self.matching("*.cpp", "*.hpp")


def fits(path, patterns):
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def includes(text):
    """(line number, "quoted" or "angled", what) of every include."""
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if found:
            yield number, "quoted" if found[1] == '"' else "angled", found[2]


def entry_of(folder):
    """The folder's own entry in MAY_INCLUDE, or its parents'."""
    while folder and folder not in MAY_INCLUDE:
        folder = folder.rpartition("/")[0]
    return folder or None


def include_rules(tree):
    for path, text in tree.cpp().items():
        folder = path.rpartition("/")[0]
        entry = entry_of(folder)
        if entry is None:
            yield f"{path}: folder {folder} has no entry in tests/lint/rules.py, MAY_INCLUDE"
            continue
        for number, kind, what in includes(text):
            where = f"{path}:{number}"
            if kind == "quoted":
                target = what.rpartition("/")[0]
                if not target.startswith(("clients", "drivers", "server", "sim", "tests")):
                    yield f"{where}: \"{what}\" is not written from the root"
                elif target != folder and not fits(target, MAY_INCLUDE[entry]):
                    yield f"{where}: {entry} may not include {target} (\"{what}\")"
                continue
            if "." not in what or POSIX.match(what):
                continue
            library = next((name for name in LIBRARIES if fnmatch.fnmatch(what, name)), None)
            if library is None:
                yield f"{where}: <{what}> belongs to no library that tests/lint/rules.py knows"
            elif path.startswith("tests/"):
                continue
            elif folder == "drivers/kit":
                yield f"{where}: drivers/kit is the standard library only (<{what}>)"
            elif not fits(path, LIBRARIES[library]):
                yield f"{where}: <{what}> belongs in {', '.join(LIBRARIES[library])}"


def owed_tests(tree):
    """tests/lint/owed_tests.txt as {path: why it has no test of its own}."""
    owed = {}
    for line in tree.files.get("tests/lint/owed_tests.txt", "").splitlines():
        path, _, why = line.partition(" ")
        if path and not line.startswith("#"):
            owed[path] = why.strip()
    return owed


def has_test(tree, path):
    """tests/<path>_test.cpp or .py is there, or a test includes its header: the first include of ours, same folder."""
    if any(f"tests/{path[:-4]}_test.{kind}" in tree.files for kind in ("cpp", "py")):
        return True
    header = next((what for _, kind, what in includes(tree.files[path]) if kind == "quoted"), "")
    is_own = header.rpartition("/")[0] == path.rpartition("/")[0]
    return is_own and any(f'#include "{header}"' in text for text in tree.matching("tests/*").values())


def mirror(tree):
    """Every .cpp has tests/<path>_test.cpp, or a test includes its header, or it is listed as owed."""
    owed = owed_tests(tree)
    for path in tree.matching("clients/*.cpp", "drivers/*.cpp", "server/*.cpp", "sim/*.cpp"):
        if path.endswith("/main.cpp"):
            continue
        is_tested = has_test(tree, path)
        if is_tested and path in owed:
            yield f"{path} has a test now: strike it from tests/lint/owed_tests.txt (lint.py --strike)"
        if not is_tested and path not in owed:
            yield f"{path}: no tests/{path[:-4]}_test.cpp, and no test includes its header"
    for path, why in owed.items():
        if path not in tree.files:
            yield f"tests/lint/owed_tests.txt: {path} does not exist"
        if not why:
            yield f"tests/lint/owed_tests.txt: {path} has no reason"


def strike(tree):
    """The list without the lines that became untrue."""
    text = tree.files["tests/lint/owed_tests.txt"]
    done = [path for path in owed_tests(tree) if path not in tree.files or has_test(tree, path)]
    return "".join(line for line in text.splitlines(True) if line.split(" ")[0].strip() not in done)


def names(tree):
    """No file or folder is named after nothing."""
    for path in tree.files:
        parts = pathlib.PurePosixPath(path).parts
        for i, part in enumerate(parts):
            stem = part.split(".")[0]
            is_banned = stem in BANNED_NAMES or stem.rpartition("_")[2] in BANNED_ENDINGS
            if is_banned and "/".join(parts[: i + 1]) not in BANNED_EXCEPT:
                yield f"{path}: \"{part}\" says nothing about what is inside"
        if path.endswith((".cpp", ".hpp")) and not re.fullmatch(r"[a-z0-9_./]+", path):
            yield f"{path}: file names are snake_case"


def license_header(tree):
    wanted = "SPDX-License-Identifier: GPL-3.0-or-later"
    scripts = {p: t for p, t in tree.files.items() if t.startswith("#!")}
    for path, text in {**tree.matching("*.cpp", "*.hpp", "*.cpp.in", "*.py", "*.sh"), **scripts}.items():
        if wanted not in "\n".join(text.splitlines()[:3]):
            yield f"{path}: no {wanted} in the first three lines"


def hosts_of_this_machine():
    """Registries this machine is set to, which say nothing to anyone else."""
    hosts = set()
    apt = [pathlib.Path("/etc/apt/sources.list"), *pathlib.Path("/etc/apt/sources.list.d").glob("*")]
    for path in apt:
        try:
            hosts |= set(re.findall(r"https?://([^/\s]+)", path.read_text()))
        except OSError:
            pass
    try:
        said = subprocess.run(["npm", "config", "get", "registry"], capture_output=True, text=True, timeout=20)
        hosts |= set(re.findall(r"https?://([^/\s]+)", said.stdout))
    except (OSError, subprocess.TimeoutExpired):
        pass
    return hosts


def places(tree, hosts=None):
    """No path and no registry of the machine the text was written on."""
    hosts = hosts_of_this_machine() if hosts is None else hosts
    folders = {str(tree.root), str(tree.root.parent)} - PLAIN_FOLDERS
    patterns = [re.compile(rf"(?<![\w.}}]){re.escape(f)}(?![\w-])") for f in folders]
    patterns += [re.compile(rf"(?<![\w.-]){re.escape(h)}(?![\w-])") for h in hosts]
    patterns.append(re.compile(r"(?<![\w.}])/(home|Users)/\w+"))
    for path, text in tree.files.items():
        if path in ("LICENSE", ".gitignore"):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            for pattern in patterns:
                found = pattern.search(line)
                if found:
                    yield f"{path}:{number}: {found[0]} is a place on this machine"


def layout(tree):
    """clang-format 14 would change nothing; `deploy/format` makes it so."""
    version = subprocess.run(["clang-format", "--version"], capture_output=True, text=True, check=True).stdout
    if "version 14." not in version:
        yield f"expected clang-format 14, found {version.strip()}"
        return
    paths = list(tree.cpp())
    said = subprocess.run(["clang-format", "--dry-run", *paths], cwd=tree.root, capture_output=True, text=True)
    bad = sorted(set(re.findall(r"^([^:\s]+):\d+:\d+: warning", said.stderr, re.M)))
    if said.returncode != 0:
        yield said.stderr.strip()
    for path in bad:
        yield f"{path}: not laid out by clang-format 14; run deploy/format"


PROSE_COLUMNS = 120


def prose(tree):
    """Lines of Markdown end at 120 columns: so they can be read and compared side by side. Tables, code, headings and
    links at a line's end are as long as they are."""
    for path, text in tree.matching("*.md").items():
        is_code = False
        for number, line in enumerate(text.splitlines(), 1):
            if line.lstrip().startswith("```"):
                is_code = not is_code
            if is_code or len(line) <= PROSE_COLUMNS or line.lstrip().startswith(("|", "#")):
                continue
            last = line.rpartition(" ")[2]
            is_link = ("](" in last or "://" in last) and len(line) - len(last) <= PROSE_COLUMNS
            if not is_link:
                yield f"{path}:{number}: {len(line)} columns of prose: expected at most {PROSE_COLUMNS}"


RULES = {"includes": include_rules, "mirror": mirror, "names": names, "license": license_header,
         "places": places, "prose": prose, "layout": layout}
