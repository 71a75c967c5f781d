"""Writes the locks, and checks that they are whole: `make lock`.

    python -m scripts.lock [--upgrade] [LOCK ...]

A lock pins with hashes all that is installed, because installers never resolve (`sandbox/toolchain/install_lock.py`).
`locked_metadata.json` has what each pinned version requires, as the package index states it, so that a test can check
offline that every requirement of a lock is pinned in it. It needs `uv` and the package index.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from isthmus.core.errors import EnvironmentFault, IsthmusError
from sandbox.toolchain.install_lock import LEFT_OUT

ROOT = Path(__file__).resolve().parents[1]
METADATA = Path(__file__).with_name("locked_metadata.json")
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
EVERYTHING = "dev-requirements.lock"
"""All that one environment of this repository may hold. The locks made of `pyproject.toml` have its versions."""


@dataclass(frozen=True)
class Lock:
    """One lock, and what it is made of."""

    file: str
    extras: tuple[str, ...] = ()
    """Extras of `pyproject.toml` that it holds."""
    core: bool = False
    """It holds the dependencies of the project too."""
    pythons: tuple[str, ...] = PYTHONS
    machines: tuple[str, ...] = MACHINES

    @property
    def path(self) -> Path:
        return ROOT / self.file

    @property
    def source(self) -> Path | None:
        """The requirements that it is compiled from, beside it. None: of `pyproject.toml`, or written by hand."""
        source = self.path.with_suffix(".in")
        return source if source.exists() else None

    @property
    def written_by_hand(self) -> bool:
        return not (self.source or self.extras or self.file == EVERYTHING)


LINUX_PC = ("x86_64",)
LOCKS = (
    Lock(EVERYTHING),
    Lock("requirements.lock", ("sandbox", "edge"), core=True),
    Lock("serve-requirements.lock", ("sandbox", "edge", "serve"), core=True),
    Lock("edge/requirements.lock", ("edge",)),
    Lock("edge/translator-requirements.lock", ("edge", "translator")),
    Lock("edge/detector-requirements.lock", ("edge", "detector")),
    Lock("edge/notifier-requirements.lock", ("edge", "notifier")),
    Lock("edge/evaluator-requirements.lock", ("evaluator",)),
    Lock("edge/detector-models.lock"),
    Lock("sandbox/local/models.lock", machines=LINUX_PC),
    Lock("sandbox/local/embeddings.lock", machines=LINUX_PC),
    Lock("sandbox/local/open-webui.lock", pythons=("3.11", "3.12")),
    Lock("isthmus/engine/evaluation/inspect.lock"),
    Lock("trainer/trainer.lock", machines=LINUX_PC),
    *(Lock(f"tests/graders/{name}.lock") for name in ("checkov", "ci", "iam", "nca", "sbom")),
    *(
        Lock(f"tests/edge/clients/{name}.lock")
        for name in ("agents", "instructor", "langchain", "litellm", "llamaindex")
    ),
    Lock("tests/edge/privacy/privacy.lock"),
    *(Lock(f"bench/{name}.lock") for name in ("litellm-proxy", "outside", "presidio", "llm-d-planner")),
    Lock("bench/redaction/templates.lock"),
    Lock("bench/redaction/french-model.lock"),
    Lock("bench/vllm.lock", machines=LINUX_PC),
    Lock("scripts/throughput_grid.lock", machines=LINUX_PC),
)
"""Every lock of Python packages. The first is written first, because others take their versions from it."""


@dataclass(frozen=True)
class Pin:
    """A line of a lock."""

    name: str
    version: str
    extras: frozenset[str]
    marker: Marker | None
    hashes: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"{self.name}=={self.version}"

    def applies(self, environment: Mapping[str, str]) -> bool:
        return self.marker is None or self.marker.evaluate({**environment})


def read_pins(text: str) -> list[Pin]:
    """The pins of a lock's text."""
    joined = re.sub(r"\\\n", " ", text)
    lines = [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    pins = []
    for line in lines:
        requirement = Requirement(line.partition(" --hash")[0])
        [specifier] = requirement.specifier
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        hashes = tuple(re.findall(r"--hash=(\S+)", line))
        pins.append(Pin(name, specifier.version, extras, requirement.marker, hashes))
    return pins


def environments(lock: Lock) -> Iterator[dict[str, str]]:
    """The variables of markers, for each Python and machine that a lock supports (Linux)."""
    for python in lock.pythons:
        for machine in lock.machines:
            yield {
                **{"python_version": python, "python_full_version": f"{python}.9", "os_name": "posix"},
                **{"sys_platform": "linux", "platform_system": "Linux", "platform_machine": machine},
                **{"implementation_name": "cpython", "platform_python_implementation": "CPython"},
            }


def find_gaps(text: str, metadata: Mapping[str, list[str]], lock: Lock) -> list[str]:
    """What a lock's packages require and the lock does not pin, a sentence for each gap. Empty: the lock is whole.

    `metadata`: requirements by `name==version`. What the lock leaves out on purpose is no gap.
    """
    pins = read_pins(text)
    left_out = {canonicalize_name(name) for line in LEFT_OUT.findall(text) for name in line.split()}
    gaps = dict.fromkeys(f"{pin.key} has no hash" for pin in pins if not pin.hashes)
    for environment in environments(lock):
        by_name: dict[str, Pin] = {}
        for pin in (pin for pin in pins if pin.applies(environment)):
            other = by_name.setdefault(pin.name, pin)
            if other.version != pin.version:
                gaps |= {f"{other.key} and {pin.key} are both pinned": None}
            by_name[pin.name] = replace(pin, extras=other.extras | pin.extras)
        for pin in by_name.values():
            extras = _all_extras(pin, metadata, environment)
            if pin.key not in metadata:
                gaps |= {f"{METADATA.name} lacks {pin.key}": None}
            for requirement in map(Requirement, metadata.get(pin.key, ())):
                name = canonicalize_name(requirement.name)
                if name in (pin.name, *left_out) or not _is_required(requirement, extras, environment):
                    continue
                if gap := _gap(requirement, by_name.get(name)):
                    gaps |= {f"{pin.key} requires {_bare(requirement)}, {gap}": None}
    return list(gaps)


def _is_required(requirement: Requirement, extras: Iterable[str], environment: Mapping[str, str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))


def _all_extras(pin: Pin, metadata: Mapping[str, list[str]], environment: Mapping[str, str]) -> set[str]:
    """The extras of a pin, and the extras of the same package that those require."""
    extras, todo = set[str](), set(pin.extras)
    own = [
        line
        for line in map(Requirement, metadata.get(pin.key, ()))
        if canonicalize_name(line.name) == pin.name
    ]
    while todo:
        extras |= todo
        todo = {
            extra for line in own if _is_required(line, extras, environment) for extra in line.extras
        } - extras
    return extras


def _bare(requirement: Requirement) -> str:
    return str(requirement).partition(";")[0].strip()


def _gap(requirement: Requirement, pin: Pin | None) -> str | None:
    if pin is None:
        return "which is not pinned"
    if not requirement.specifier.contains(Version(pin.version), prereleases=True):
        return f"but {pin.version} is pinned"
    missing = {canonicalize_name(extra) for extra in requirement.extras} - {
        canonicalize_name(extra) for extra in pin.extras
    }
    return f"but {pin.name} is pinned without [{', '.join(sorted(missing))}]" if missing else None


def _compile(lock: Lock, upgrade: bool) -> None:
    if lock.written_by_hand:
        return
    header = "".join(
        line
        for line in lock.path.read_text("utf-8").splitlines(keepends=True)
        if line.startswith("#") and "uv " not in line and "make lock" not in line
    )
    with tempfile.TemporaryDirectory() as folder:
        source = lock.source or _written_source(lock, Path(folder))
        excludes = Path(folder) / "excludes.txt"
        excludes.write_text("\n".join(" ".join(LEFT_OUT.findall(header)).split()) + "\n")
        command = [
            *("uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-strip-extras"),
            *("--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header"),
            *("--python-version", lock.pythons[0], "--excludes", str(excludes)),
            *(("--upgrade",) if upgrade else ()),
            *(str(source), "-o", str(lock.path)),
        ]
        if lock.file == EVERYTHING:
            command += ["--all-extras", "--group", "dev"]
        elif lock.extras:
            constraints = Path(folder) / "constraints.txt"
            pins = read_pins((ROOT / EVERYTHING).read_text("utf-8"))
            constraints.write_text(
                "".join(f"{pin.key}{f' ; {pin.marker}' if pin.marker else ''}\n" for pin in pins)
            )
            command += ["--constraints", str(constraints)]
        _run(command, lock)
    lock.path.write_text(f"{header}# `make lock` writes it.\n{lock.path.read_text('utf-8')}", "utf-8")


def _written_source(lock: Lock, folder: Path) -> Path:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    if lock.file == EVERYTHING:
        return ROOT / "pyproject.toml"
    extras = project["optional-dependencies"]
    lines = list(project["dependencies"]) if lock.core else []
    todo = list(lock.extras)
    while todo:
        for line in extras[todo.pop()]:
            requirement = Requirement(line)
            if requirement.name == project["name"]:
                todo += requirement.extras
            else:
                lines.append(line)
    source = folder / "requirements.in"
    source.write_text("\n".join(lines) + "\n")
    return source


def _update_metadata(locks: Iterable[Lock]) -> None:
    """Ask the package index what each new pin requires. Forget pins that no lock has any longer."""
    known: dict[str, list[str]] = json.loads(METADATA.read_text("utf-8")) if METADATA.exists() else {}
    every = {lock: read_pins(lock.path.read_text("utf-8")) for lock in locks}
    for lock, pins in every.items():
        for environment in environments(lock):
            if environment["platform_machine"] != lock.machines[0]:
                continue
            new = [pin for pin in pins if pin.applies(environment) and pin.key not in known]
            if new:
                print(f"{lock.file}: asks for the metadata of {len(new)} packages", file=sys.stderr)
                known |= _ask_index(lock, new, environment["python_version"])
    extras: dict[str, set[str]] = {}
    for pin in (pin for pins in every.values() for pin in pins):
        extras.setdefault(pin.key, set()).update(pin.extras)
    widest = Lock("", pythons=PYTHONS, machines=MACHINES)
    kept = {
        key: sorted(
            line
            for line in known[key]
            if any(_is_required(Requirement(line), extras[key], place) for place in environments(widest))
        )
        for key in sorted(extras)
        if key in known
    }
    METADATA.write_text(json.dumps(kept, indent=0) + "\n", "utf-8")


def _ask_index(lock: Lock, pins: list[Pin], python: str) -> dict[str, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        wanted, report = Path(folder) / "wanted.txt", Path(folder) / "report.json"
        hashes = (f"{pin.key} {' '.join(f'--hash={digest}' for digest in pin.hashes)}" for pin in pins)
        wanted.write_text("\n".join(hashes) + "\n")
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--dry-run",
            "--ignore-installed",
            "--no-deps",
        ]
        command += ["--require-hashes", "--only-binary", ":all:", "--python-version", python]
        command += [
            "--ignore-requires-python",
            "--target",
            f"{folder}/nowhere",
            "--report",
            str(report),
            "-r",
            str(wanted),
        ]
        _run(command, lock)
        installs = json.loads(report.read_text("utf-8"))["install"]
    return {
        f"{canonicalize_name(entry['metadata']['name'])}=={entry['metadata']['version']}": entry[
            "metadata"
        ].get("requires_dist", [])
        for entry in installs
    }


def _run(command: list[str], lock: Lock) -> None:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        problem = (done.stderr or done.stdout).strip()[-600:] if done.returncode else ""
    except FileNotFoundError:
        problem = f"{command[0]} is not on PATH"
    if problem:
        raise EnvironmentFault(
            f"{lock.file} could not be written: {problem}",
            fix="`uv` must be on PATH (`pip install uv`) and reach the package index; run `make lock` again",
        )


def main(arguments: list[str] | None = None) -> int:
    """Write the locks that are named, by default all, then check all. Exit code 1 if one has a gap."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.lock", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--upgrade", action="store_true", help="take the newest versions that the requirements allow"
    )
    parser.add_argument("locks", nargs="*", metavar="LOCK", help="paths of locks; default: all")
    options = parser.parse_args(arguments)
    files = {lock.file for lock in LOCKS}
    if unknown := [name for name in options.locks if name not in files]:
        parser.error(f"{unknown[0]!r} is not a lock. Locks: {', '.join(sorted(files))}")
    try:
        for lock in LOCKS:
            if lock.file in (options.locks or files):
                _compile(lock, options.upgrade)
        _update_metadata(LOCKS)
    except IsthmusError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    metadata = json.loads(METADATA.read_text("utf-8"))
    gaps = [
        f"{lock.file}: {gap}"
        for lock in LOCKS
        for gap in find_gaps(lock.path.read_text("utf-8"), metadata, lock)
    ]
    for gap in gaps:
        print(gap, file=sys.stderr)
    return 1 if gaps else 0


if __name__ == "__main__":
    sys.exit(main())
