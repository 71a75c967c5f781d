"""What the README shows, run as a newcomer would: in one shell, in the order of the page."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import preloaded
from tests.blueprints import bank
from tests.sandbox.projects import SPARING

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)
MARK = "=== block"
NOBODY = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")

pytestmark = pytest.mark.sandbox


def blocks() -> list[str]:
    """Every command block but the first, which holds the two `make` commands."""
    return [block.group(1) for block in BLOCK.finditer(README)][1:]


def checkout(root: Path) -> Path:
    """A copy that the README's commands may change."""
    for name in ("stacks", "blueprints", "components", "examples", "isthmus", "sandbox", "docs"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Pulumi.yaml", "images.lock.yaml"):
        shutil.copy(ROOT / name, root)
    (root / "out").mkdir()
    preloaded.lay_interpreter(root / ".venv")
    (root / ".gitignore").write_text("__pycache__/\n.venv\nout/\n")
    for command in (["init", "-q"], ["add", "-A"], [*NOBODY, "commit", "-qm", "as cloned"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


@pytest.fixture(scope="module")
def outputs(sandbox, tmp_path_factory) -> list[str]:
    """What each block printed, the stack being up as after `make up`."""
    root = checkout(tmp_path_factory.mktemp("readme"))
    commands = tmp_path_factory.mktemp("commands")
    env = dict(sandbox.env) | SPARING | {"ISTHMUS_HOME": str(sandbox.home), "PYTHONPATH": str(root)}
    env |= preloaded.lay_command(commands)
    env["PATH"] = f"{commands}:{Path(sys.executable).parent}:{env['PATH']}"
    up = subprocess.run(
        ["isthmus", "up", "bank-dev", "--yes"], cwd=root, env=env, capture_output=True, text=True, check=False
    )
    assert up.returncode == 0, up.stdout + up.stderr
    script = "set -euo pipefail\nexec 2>&1\n"
    script += "".join(f"echo '{MARK}'\n{block}" for block in blocks())
    shown = subprocess.run(
        ["bash", "-c", script], cwd=root, env=env, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stdout[-4000:]
    return shown.stdout.split(MARK)[1:]


def test_a_stack_is_there_for_plain_pulumi_once_its_sandbox_is_up(sandbox, tmp_path):
    root = checkout(tmp_path)
    for file in sorted((root / "stacks").glob("*bank-dev*")):
        file.rename(file.with_name(file.name.replace("bank-dev", "by-hand")))
    env = dict(sandbox.env) | {"ISTHMUS_HOME": str(sandbox.home), "PYTHONPATH": str(root)}
    isthmus = [sys.executable, "-m", "isthmus"]
    up = [*isthmus, "sandbox", "up", "stacks/by-hand.requirements.yaml"]
    done = subprocess.run(up, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    request = subprocess.run(
        ["pulumi", "stack", "ls"], cwd=root, env=env, capture_output=True, text=True, check=False
    )
    assert "by-hand" in request.stdout, request.stdout + request.stderr


def printed(outputs: list[str], command: str) -> str:
    """What the block that holds `command` printed."""
    return next(text for block, text in zip(blocks(), outputs, strict=True) if command in block)


def test_the_data_paths_are_an_output_of_the_stack(outputs):
    shown = printed(outputs, "stack output data_paths")
    name = bank.serving("transaction-narratives").id
    assert f"transaction-narratives (restricted): fra1/{name} only; never AWS" in shown


def test_one_replica_more_replaces_nothing(outputs):
    shown = printed(outputs, "pulumi up")
    assert re.search(r"~ +4 to update", shown), shown
    assert "replace" not in shown.split("Resources:")[1].splitlines()[1]


def test_destroy_names_what_is_left(outputs):
    shown = printed(outputs, "isthmus destroy")
    assert "Keys that AWS deletes after their waiting period:" in shown
    assert "arn:aws:kms:" in shown
    assert "arn:aws:s3:::" not in shown, "a sandbox is disposable"


def test_the_architects_attempt_to_break_the_boundary_is_refused(outputs):
    shown = printed(outputs, "out/refused")
    assert "refused with exit code 1" in shown, shown
    assert "restricted" in shown
    assert "bedrock" in shown


def test_every_make_target_that_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    names = set(re.findall(r"`?make ([a-z]+)`?", README))
    assert names <= targets, f"not in the Makefile: {sorted(names - targets)}"
