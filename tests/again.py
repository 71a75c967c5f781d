"""`make test`: run the tests, and run the files of the few that failed once more, alone.

Many tests watch real processes and wait for what must happen within seconds. Beside four workers on two cores, a second
of theirs can take ten. A test that fails beside others and passes alone says that the machine was slow, not that the
code is wrong: the run passes, and names the test under FAILED ONCE. A test that fails both times fails the run.

    python -m tests.again -n 4 -m 'not soak' --turn commit
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MOST = 5
"""More failures than these are no slow machine: nothing is repeated. A choice, not a measurement."""

Run = Callable[[Sequence[str]], int]


class Failed:
    """A pytest plugin that notes which tests failed or broke."""

    def __init__(self) -> None:
        self.tests: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.tests[report.nodeid] = None


def files_of(tests: Sequence[str]) -> list[str]:
    """The files of these tests, each once: some files' tests build on those before them, so a file runs whole."""
    return list(dict.fromkeys(test.partition("::")[0] for test in tests))


def alone(arguments: Sequence[str]) -> list[str]:
    """The arguments of a run without other workers beside it: the last `-n` counts."""
    return [*arguments, "-n", "0"]


def verdict(first: int, failed: Sequence[str], repeat: Run) -> int:
    """The exit status of the whole.

    `first`: pytest's exit status of the first run. `failed`: its failed tests. `repeat`: runs these files
    alone, and gives pytest's exit status.
    """
    if first != pytest.ExitCode.TESTS_FAILED or not 0 < len(failed) <= MOST:
        return first
    files = files_of(failed)
    print(f"\nThese failed beside others. Their files run again, alone: {', '.join(files)}", flush=True)
    again = repeat(files)
    if again == pytest.ExitCode.OK:
        print("\nFAILED ONCE, beside others, and passed alone:", *failed, sep="\n  ", flush=True)
    return again


def main(arguments: Sequence[str]) -> int:
    """Run pytest with these arguments, then what failed. Returns the exit status."""
    failed = Failed()
    first = int(pytest.main(list(arguments), plugins=[failed]))

    def repeat(files: Sequence[str]) -> int:
        command = [sys.executable, "-m", "pytest", *alone(arguments), *files]
        return subprocess.run(command, cwd=ROOT, check=False).returncode

    return verdict(first, list(failed.tests), repeat)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
