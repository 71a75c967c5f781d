"""`isthmus ci` in a real repository with the bank's stack: a branch is compared with its base commit."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.reports.preview import Preview
from isthmus.core import yaml_files
from isthmus.engine.policy import evaluation as policy_evaluation
from isthmus.engine.preview.preview import Previewed
from isthmus.engine.project.project import Project
from isthmus.engine.pull_request import pull_request
from isthmus.engine.render import rendering
from policies.evaluation.evaluation import blocking_findings
from tests.blueprints.bank import ROOT, STACK
from tests.cli.branches import copy_stack, remove_stack, run_ci
from tests.estate import bank_estate, change_overrides, release
from tests.laying import lay
from tests.reports import moved_models
from tests.repository import commit, git

WORK = "transaction-narratives"
OWN = ("isthmus", "policies", "components", "blueprints")
"""What a checkout of Isthmus has besides a project's files."""


def previews(root: Path, *names: str, base: str = "HEAD") -> dict[str, Preview]:
    previewed = pull_request.previews(Project(root), names, base, say=lambda _: None)
    return {stack_preview.preview.stack: stack_preview.preview for stack_preview in previewed}


def rules(preview: Preview) -> list[tuple[str, str, bool]]:
    return [(rule.kind, rule.what, rule.loosens) for rule in preview.rules]


def findings_of(preview: Preview, policy: str) -> list[Any]:
    return [finding for finding in preview.policy if finding.policy == policy]


@pytest.fixture(scope="module")
def branch_with_lowered_class(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A branch that calls restricted work internal, takes it to Bedrock, silences what would be said of it and switches
    a rule off; of two more stacks one is new and one is taken away."""
    root = tmp_path_factory.mktemp("lowered")
    stacks = lay(root, bank=True)
    copy_stack(stacks, "old")
    commit(root, "base")
    remove_stack(stacks, "old")
    copy_stack(stacks, "new")
    moved_models.lowered_to_the_cloud(root)
    silence = {"owner": "me", "reason": "mine", "until": "2999-01-01", "resource": "*"}
    silences = [
        {**silence, "policy": rule} for rule in ("data-path/stays-where-it-may", "change/sensitivity-lowered")
    ]
    off = [{"rule": "identity/translators-only", "owner": "me", "reason": "mine"}]
    # The organisation's settings hold for the new stack too, whose rules are the same.
    file = stacks / f"Pulumi.{STACK}.yaml"
    settings = yaml_files.load(file).data
    settings["config"]["isthmus:policies"] = {"silences": silences, "off": off}
    yaml_files.dump(settings, "", file)
    return root


@pytest.fixture(scope="module")
def branch_previews(
    branch_with_lowered_class: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Preview]:
    scratch = tmp_path_factory.mktemp("scratch")
    before = (
        git(branch_with_lowered_class, "status", "--porcelain"),
        (branch_with_lowered_class / ".git" / "index").read_bytes(),
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(scratch))
        all_previews = previews(branch_with_lowered_class, STACK, "new", "old")
    assert (
        git(branch_with_lowered_class, "status", "--porcelain"),
        (branch_with_lowered_class / ".git" / "index").read_bytes(),
    ) == before
    assert list(scratch.iterdir()) == [], "something was left behind"
    return all_previews


def test_the_branch_alone_has_no_blocking_findings(branch_with_lowered_class: Path):
    stack = Project(branch_with_lowered_class).stack(STACK)
    stack.platform()
    assert (
        blocking_findings(
            policy_evaluation.findings(stack, rendering.render(stack).resources, stack.platform())
        )
        == []
    )


def test_lowering_a_class_to_reach_bedrock_is_refused_and_its_data_path_shown(
    branch_previews: dict[str, Preview],
):
    preview = branch_previews[STACK]
    (refused_path,) = [path for path in preview.data_paths.after or [] if path.verdict == "refused"]
    assert (refused_path.workload, refused_path.class_) == (WORK, "internal")
    assert (
        f"{WORK} is restricted before this change, and restricted work may not run on bedrock"
        in refused_path.why
    )
    assert [hop.kind for hop in refused_path.hops][:3] == ["workload", "gateway", "translator"]
    (finding,) = findings_of(preview, "data-path/stays-where-it-may")
    assert (finding.severity, finding.silenced) == ("critical", None), "its own branch has silenced it"
    assert (preview.status, preview.baseline, len(preview.base), preview.commit[-6:]) == (
        "complete",
        "commit",
        40,
        "-dirty",
    )


def test_loosened_rules_are_listed_first_and_cannot_be_silenced_by_the_branch(
    branch_previews: dict[str, Preview],
):
    preview = branch_previews[STACK]
    loosened = [rule[:2] for rule in rules(preview) if rule[2]]
    assert loosened == [
        ("placement", WORK),
        ("rule", "identity/translators-only"),
        ("sensitivity", WORK),
        ("silence", "change/sensitivity-lowered of *"),
        ("silence", "data-path/stays-where-it-may of *"),
    ]
    assert all(rule[2] for rule in rules(preview)[: len(loosened)])
    for policy, number in (
        ("change/sensitivity-lowered", 1),
        ("change/silence-added", 2),
        ("change/rule-loosened", 1),
        ("change/placed-less-strictly", 1),
    ):
        policy_findings = findings_of(preview, policy)
        assert (len(policy_findings), {finding.silenced for finding in policy_findings}) == (
            number,
            {None},
        ), policy


def test_a_new_stack_has_only_creations_and_a_removed_one_only_deletions(branch_previews: dict[str, Preview]):
    new, old = branch_previews["new"], branch_previews["old"]
    assert {change.op for change in new.changes} == {"create", "read"}
    assert {change.op for change in old.changes} == {"delete"}
    assert new.summary["create"] == old.summary["delete"] > 200
    assert (new.cost.before.monthly_usd, old.cost.after.monthly_usd) == (0, 0)  # type: ignore[union-attr]
    assert (new.data_paths.before, old.data_paths.after) == ([], [])
    assert (new.status, old.status) == ("complete", "complete")
    assert {rule[2] for rule in [*rules(new), *rules(old)]} == {False}


@pytest.fixture
def cached_previews(branch_previews: dict[str, Preview], monkeypatch: pytest.MonkeyPatch) -> None:
    def return_branch_previews(_: Any, names: Sequence[str], *__: Any, **___: Any) -> list[Previewed]:
        return [Previewed(branch_previews[name]) for name in names]

    monkeypatch.setattr(pull_request, "previews", return_branch_previews)


@pytest.mark.usefixtures("cached_previews")
@pytest.mark.parametrize("format", ["text", "json", "markdown", "html", "sarif"])
def test_every_report_format_refuses_a_lowered_class_with_exit_code_1(
    format: str, branch_with_lowered_class: Path, capsys: pytest.CaptureFixture[str]
):
    names = (STACK, "old")
    code, out, err = run_ci(
        branch_with_lowered_class, *names, "--base", "HEAD", "--format", format, capsys=capsys
    )
    assert code == 1, err
    assert "of severity critical, 1 refused data path" in err
    assert "change/sensitivity-lowered" in out
    if format == "markdown":
        assert out.startswith("**⛔ REFUSED**")
        assert out.index("### Rules and classes that change") < out.index("### Deleted or replaced")
    if format == "json":
        assert [load["stack"] for load in json.loads(out)] == list(names)


@pytest.fixture(scope="module")
def branch_moved_to_bedrock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A branch that takes internal work from our GPUs to Bedrock."""
    root = tmp_path_factory.mktemp("moved")
    moved_models.laid_on_prem(root)
    commit(root, "base")
    lay(root, bank=True)
    commit(root, "to Bedrock")
    return root


def test_internal_work_that_moves_to_bedrock_is_allowed_and_reported(
    branch_moved_to_bedrock: Path, capsys: pytest.CaptureFixture[str]
):
    code, out, err = run_ci(
        branch_moved_to_bedrock, STACK, "--base", "HEAD~1", "--format", "markdown", capsys=capsys
    )
    assert code == 0, err
    assert out.startswith("**🔶 CHANGES**")
    base, head = (git(branch_moved_to_bedrock, "rev-parse", revision) for revision in ("HEAD~1", "HEAD"))
    assert f"commit `{head[:12]}` against `{base[:12]}`" in out
    assert "| **looser** | placement | `policy-assistant` |" in out
    assert "- added, allowed (internal): workload `policy-assistant`" in out


@pytest.mark.soak
def test_the_report_of_an_allowed_move_is_byte_identical_each_time(
    branch_moved_to_bedrock: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    texts = []
    for base in ("HEAD~1", git(branch_moved_to_bedrock, "rev-parse", "HEAD~1")):
        file = tmp_path / f"{base}.md"
        assert (
            run_ci(
                branch_moved_to_bedrock,
                STACK,
                "--base",
                base,
                "--format",
                "markdown",
                "-o",
                str(file),
                capsys=capsys,
            )[0]
            == 0
        )
        texts.append(file.read_text())
    assert texts[0] == texts[1]


def test_an_estate_gets_one_comment_for_all_its_stacks(tmp_path: Path, capsys: Any):
    estate = bank_estate(tmp_path)
    commit(tmp_path, "base")
    change_overrides(estate, release)
    code, out, err = run_ci(tmp_path, "bank", "--base", "HEAD", "--format", "json", capsys=capsys)
    assert code == 0, err
    operations = {load["stack"]: {change["op"] for change in load["changes"]} for load in json.loads(out)}
    assert operations == {
        "bank-foundation": set(),
        "bank-platform": set(),
        "bank-investigations": {"delete", "update", "create"},
        "bank-onboarding": {"update"},
    }


def test_a_branch_with_changed_rules_is_also_judged_by_the_rules_of_its_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """With code of its own on both sides: what the branch's rules no longer find is found by the base's, what its
    components make otherwise is a change, and neither code sees a credential."""
    lay(tmp_path, bank=True)
    for folder in OWN:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    yaml_files.dump({"isthmus": "v1", "figures": {"log_days_min": 9999}}, "", tmp_path / "policies.yaml")
    commit(tmp_path, "base")
    file = tmp_path / "policies" / "evaluation" / "evaluation.py"
    file.write_text(
        file.read_text().replace(
            "    return [finding for finding, _ in judge_subject(subject, stack, rules)]\n",
            "    return []\n",
            1,
        )
    )
    file = tmp_path / "components" / "cluster" / "pod_defaults.py"
    file.write_text(file.read_text().replace('Seconds": grace_s,', 'Seconds": grace_s + 1,', 1))
    environment_file = tmp_path / "told"
    with (tmp_path / "stacks" / "program.py").open("a") as program:
        program.write(f"\n\nPath({str(environment_file)!r}).write_text(str(dict(os.environ)))\n")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-from-it")
    preview = previews(tmp_path, STACK)[STACK]
    grace = "spec.template.spec.terminationGracePeriodSeconds"
    assert {path.path for change in preview.changes for path in change.properties} == {grace}
    short = [finding for finding in preview.policy if finding.policy.startswith("audit/")]
    assert short, "the base's rules were not asked"
    assert ("rule", "the rules themselves", True) in rules(preview)
    (finding,) = findings_of(preview, "change/rules-rewritten")
    assert "policies/evaluation/evaluation.py" in finding.message
    assert "PATH" in environment_file.read_text()
    assert "hidden-from-it" not in environment_file.read_text()


def test_what_a_branch_switches_off_or_silences_is_listed_as_an_exception(
    branch_previews: dict[str, Preview],
):
    exceptions = branch_previews[STACK].exceptions
    assert {(entry.kind, entry.rule) for entry in exceptions} >= {
        ("off", "identity/translators-only"),
        ("silence", "change/sensitivity-lowered"),
    }
