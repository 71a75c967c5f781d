"""What the installer of locks does and says, with small packages of this test instead of an index."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sandbox.toolchain import install_lock


class Machine:
    """A folder of wheels in place of an index, one virtual environment, and the installer as a user runs it."""

    def __init__(self, home: Path) -> None:
        self.home, self.wheels, self.bin = home, home / "wheels", home / "bin"
        self.environment = home / "environment"
        for folder in (self.wheels, self.bin):
            folder.mkdir()
        self.variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))},
            **{"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)},
            "PATH": os.pathsep.join([str(self.bin), "/usr/bin", "/bin"]),
        }

    def wheel(self, name: str, *requirements: str) -> str:
        """Offer a package of version 1.0. Returns its line of a lock."""
        file = self.wheels / f"{name}-1.0-py3-none-any.whl"
        files = {
            f"{name}.py": "",
            f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
            + "".join(f"Requires-Dist: {text}\n" for text in requirements),
            f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        digests = {path: hashlib.sha256(text.encode()).digest() for path, text in files.items()}
        files[f"{name}-1.0.dist-info/RECORD"] = "".join(
            f"{path},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},\n"
            for path, digest in digests.items()
        )
        with zipfile.ZipFile(file, "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
        return f"{name}==1.0 --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"

    def lock(self, *lines: str) -> Path:
        lock = self.home / "some.lock"
        lock.write_text("".join(lines))
        return lock

    def install(self, lock: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, install_lock.__file__, str(lock), str(self.environment), "--no-compile"],
            env={**self.variables, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def has(self, name: str) -> bool:
        return any(self.environment.glob(f"lib/*/site-packages/{name}.py"))


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine"))


def test_an_index_that_is_out_of_reach_is_one_paragraph_and_the_next_run_continues(machine):
    lock = machine.lock(machine.wheel("reached"))
    first = machine.install(
        lock,
        **{"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_RETRIES": "1"},
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
    )
    assert first.returncode == 3
    problem, fix = first.stderr.splitlines()
    assert problem.startswith(f"isthmus: the packages of {lock} could not be installed: ERROR: ")
    assert "Connection refused" in problem
    assert fix.startswith("Fix: pip must reach its package index")
    second = machine.install(lock)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert machine.has("reached")


def test_another_content_than_the_lock_hashes_is_not_installed(machine):
    line = machine.wheel("changed")
    digest = line.rpartition(":")[2]
    done = machine.install(machine.lock(line.replace(digest, "0" * 64)))
    assert done.returncode == 3
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not machine.has("changed")


def test_a_package_that_the_lock_lacks_is_never_resolved(machine):
    machine.wheel("wanted")
    done = machine.install(machine.lock(machine.wheel("lacking", "wanted")))
    assert done.returncode == 3
    assert "some.lock do not agree: lacking 1.0 requires wanted, which is not installed." in done.stderr
    assert "renew the lock with `make lock`" in done.stderr
    assert not machine.has("wanted")
    left_out = machine.install(machine.lock("# left out: Wanted\n", machine.wheel("lacking", "wanted")))
    assert left_out.returncode == 0, "a lock may name what it does not install on purpose"


def test_where_uv_fails_pip_installs_and_says_so(machine):
    machine.lock("# left out: wanted\n", machine.wheel("by_pip"))
    uv = machine.bin / "uv"
    uv.write_text("#!/bin/sh\necho 'error: no such option' >&2; exit 2\n")
    uv.chmod(0o755)
    done = machine.install(machine.home / "some.lock")
    assert done.returncode == 0
    assert "some.lock (error: no such option); pip tries now" in done.stderr
    assert machine.has("by_pip")
