"""Two commits evaluated by their own code: it returns a result or a fault, and leaves no process behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.pull_request import commit_pair
from isthmus.engine.pull_request.commit_pair import Commit
from isthmus.engine.seen import Order


def commit(root: Path, code: str = "") -> Commit:
    """A project that carries an Isthmus of its own, whose answer is `code`."""
    folder = root / "isthmus" / "engine"
    folder.mkdir(parents=True)
    for package in (root / "isthmus", folder):
        (package / "__init__.py").touch()
    (folder / "seen.py").write_text(f"import os, sys, time\nfrom pathlib import Path\n{code}\n")
    return Commit(root, "the base commit", root)


def ask_commit(asked_commit: Commit) -> object:
    return commit_pair.ask_commits({asked_commit: Order(do="see", root=str(asked_commit.root))})[asked_commit]


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_code_of_a_commit_runs_without_secrets_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in (
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "KUBECONFIG",
        "PULUMI_CONFIG_PASSPHRASE",
        "PYTHONPATH",
    ):
        monkeypatch.setenv(name, "hidden")
    output_file = tmp_path / "told"
    asked_commit = commit(
        tmp_path / "p",
        f"Path({str(output_file)!r}).write_text(repr(dict(os.environ)))\n"
        "print('::add-mask::noise')\nPath(sys.argv[2]).write_text('{\"findings\": {\"a\": []}}')",
    )
    assert commit_pair.ask_commits({asked_commit: Order(do="see", root="x")})[asked_commit].findings == {
        "a": []
    }
    assert "'PATH'" in output_file.read_text()
    assert "hidden" not in output_file.read_text()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise SystemExit('no such library')", "it exited with 1: no such library"),
        ("sys.exit(0)", "it exited with 0"),
        ("Path(sys.argv[2]).write_text('{')", "it exited with 0"),
        ("os.kill(os.getpid(), 9)", "it exited with -9"),
    ],
)
def test_code_of_a_commit_without_a_result_is_reported_with_its_exit_status(
    tmp_path: Path, code: str, message: str
):
    with pytest.raises(EnvironmentFault, match="the code of the base commit did not run") as caught:
        ask_commit(commit(tmp_path, code))
    assert message in str(caught.value)


def test_code_of_a_commit_that_runs_too_long_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(commit_pair, "_TIMEOUT_S", 0.1)
    number = tmp_path / "number"
    slow = commit(tmp_path / "slow", f"Path({str(number)!r}).write_text(str(os.getpid()))\ntime.sleep(60)")
    begun = time.monotonic()
    with pytest.raises(EnvironmentFault, match="took longer"):
        ask_commit(slow)
    assert time.monotonic() - begun < 30
    assert not alive(int(number.read_text()))


def test_if_one_commit_fails_the_process_of_the_other_is_stopped(tmp_path: Path):
    number = tmp_path / "number"
    wait = f"while not Path({str(number)!r}).exists(): time.sleep(0.01)\nsys.exit(1)"
    slow = commit(tmp_path / "slow", f"Path({str(number)!r}).write_text(str(os.getpid()))\ntime.sleep(60)")
    order = Order(do="see", root="x")
    with pytest.raises(EnvironmentFault):
        commit_pair.ask_commits({commit(tmp_path / "failing", wait): order, slow: order})
    assert not alive(int(number.read_text()))


def test_a_project_without_its_own_isthmus_is_evaluated_by_the_running_one(tmp_path: Path):
    assert Commit(tmp_path, "the base commit", tmp_path).code == commit_pair.RUNNING_CHECKOUT
    own_commit = commit(tmp_path / "own")
    assert own_commit.code == own_commit.root


def test_policy_code_is_compared_file_by_file(tmp_path: Path):
    first, second = commit(tmp_path / "one"), commit(tmp_path / "other")
    assert commit_pair.changed_judging_files(first, second) == []
    (second.root / "policies").mkdir()
    (second.root / "policies" / "new.py").touch()
    (second.root / "isthmus" / "__init__.py").write_text("x = 1")
    (second.root / "isthmus" / "__pycache__").mkdir()
    (second.root / "isthmus" / "__pycache__" / "x.pyc").touch()
    (second.root / "components").mkdir()
    (second.root / "components" / "gone.py").touch()
    assert commit_pair.changed_judging_files(first, second) == ["isthmus/__init__.py", "policies/new.py"]
    assert commit_pair.changed_judging_files(second, first) == commit_pair.changed_judging_files(
        first, second
    )


def test_every_commit_uses_the_blueprints_in_its_own_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    checkout, laid_out, elsewhere = (tmp_path / name for name in ("checkout", "laid-out", "elsewhere"))
    for path in (checkout / "mine", checkout / "new", laid_out / "mine", elsewhere):
        path.mkdir(parents=True)
    search_path = os.pathsep.join(map(str, (checkout / "mine", checkout / "new", elsewhere)))
    monkeypatch.setenv("ISTHMUS_BLUEPRINTS", search_path)
    base = Commit(laid_out, "the base commit", checkout)
    assert commit_pair._blueprint_folders(base) == os.pathsep.join(map(str, (laid_out / "mine", elsewhere)))
    assert commit_pair._blueprint_folders(Commit(checkout, "the branch", checkout)) == search_path
