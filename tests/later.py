"""Runs the fast tests and renders a platform with the clock set ahead: nothing may fail because time passes.

    python -m tests.later [OPTION OF PYTEST …]        what `make check-later` runs

libfaketime moves the clock of every process, SQLite's and OpenSSL's too. What is meant to expire says so in the name
of its test, and sets its own times.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from isthmus.core.errors import IsthmusError
from sandbox.toolchain.debian import DebianPackage

DAYS = (365, 1461)
SLEEP = Path(__file__).with_name("later_clock")
LEFT_OUT = (
    # It compares the clock with the kernel's start times of processes, which stay as they are.
    "tests/engine/test_orphan_plugins.py",
    # Under libfaketime the interrupt arrives while the child starts its thread, which gives another exit code.
    "tests/engine/test_multi_stack.py::test_a_child_process_is_interrupted_when_its_parent_ends",
)
LIBRARY = "usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
FAKETIME = DebianPackage(
    "libfaketime",
    "0.9.10-2.1",
    "b09481e7690680966005330c3f907bba4b5eefc35e1faaea4783cc55655d1150",
    (),
    "moves the clock of a process; `make check-later` needs it",
    (LIBRARY,),
)


def environment(days: int) -> dict[str, str]:
    """The environment of a process whose clock is ahead. Monotonic clocks and times of files stay as they are."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(SLEEP), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "LD_PRELOAD": str(FAKETIME.folder / LIBRARY),
        "FAKETIME": f"+{days}d",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def main(options: list[str]) -> int:
    """Run everything for each number of days, until something fails. Returns its exit code."""
    try:
        FAKETIME.install()
    except IsthmusError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for days in DAYS:
        print(f"The clock is {days} days ahead", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            isthmus = [sys.executable, "-m", "isthmus"]
            for command in (
                [*isthmus, "render", "bank-dev", "-o", f"{folder}/bank-dev"],
                [
                    *isthmus,
                    "plan",
                    "stacks/bank-dev.requirements.yaml",
                    "--format",
                    "json",
                    "-o",
                    f"{folder}/plan",
                ],
                [sys.executable, "-m", "pytest", *options, *(f"--deselect={name}" for name in LEFT_OUT)],
            ):
                quiet = subprocess.DEVNULL if "isthmus" in command else None
                done = subprocess.run(command, env=environment(days), stdout=quiet, check=False)
                if done.returncode != 0:
                    return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
