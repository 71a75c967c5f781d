"""Two commits asked by their own code: whatever that does, an answer or a fault, and nothing that runs on."""

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


def ask(asked_commit: Commit) -> object:
    return commit_pair.ask_commits({asked_commit: Order(do="see", root=str(asked_commit.root))})[asked_commit]


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_code_of_a_commit_answers_and_receives_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
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
        ("raise SystemExit('no such library')", "it ended with 1: no such library"),
        ("sys.exit(0)", "it ended with 0"),
        ("Path(sys.argv[2]).write_text('{')", "it ended with 0"),
        ("os.kill(os.getpid(), 9)", "it ended with -9"),
    ],
)
def test_code_without_answer_is_a_fault_with_its_exit_status(tmp_path: Path, code: str, message: str):
    with pytest.raises(EnvironmentFault, match="the code of the base commit could not be asked") as caught:
        ask(commit(tmp_path, code))
    assert message in str(caught.value)


def test_code_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(commit_pair, "_TIMEOUT_S", 0.1)
    number = tmp_path / "number"
    slow = commit(tmp_path / "slow", f"Path({str(number)!r}).write_text(str(os.getpid()))\ntime.sleep(60)")
    begun = time.monotonic()
    with pytest.raises(EnvironmentFault, match="took longer"):
        ask(slow)
    assert time.monotonic() - begun < 30
    assert not alive(int(number.read_text()))


def test_a_failed_side_ends_the_other(tmp_path: Path):
    number = tmp_path / "number"
    wait = f"while not Path({str(number)!r}).exists(): time.sleep(0.01)\nsys.exit(1)"
    slow = commit(tmp_path / "slow", f"Path({str(number)!r}).write_text(str(os.getpid()))\ntime.sleep(60)")
    order = Order(do="see", root="x")
    with pytest.raises(EnvironmentFault):
        commit_pair.ask_commits({commit(tmp_path / "failing", wait): order, slow: order})
    assert not alive(int(number.read_text()))


def test_a_project_without_an_isthmus_is_asked_by_the_one_that_runs(tmp_path: Path):
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


def test_blueprints_in_the_project_are_each_commits_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    checkout, laid_out, elsewhere = (tmp_path / name for name in ("checkout", "laid-out", "elsewhere"))
    for path in (checkout / "mine", checkout / "new", laid_out / "mine", elsewhere):
        path.mkdir(parents=True)
    search_path = os.pathsep.join(map(str, (checkout / "mine", checkout / "new", elsewhere)))
    monkeypatch.setenv("ISTHMUS_BLUEPRINTS", search_path)
    base = Commit(laid_out, "the base commit", checkout)
    assert commit_pair._blueprint_folders(base) == os.pathsep.join(map(str, (laid_out / "mine", elsewhere)))
    assert commit_pair._blueprint_folders(Commit(checkout, "the branch", checkout)) == search_path
