"""Invalid input on the real command line: one paragraph, the right exit code, nothing left half-created."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.blueprints import bank
from tests.cli.conftest import resolve


def edit(file: Path, pattern: str, replacement: str) -> None:
    """Replace the first match; a pattern that matches nothing would test nothing."""
    text = file.read_text()
    changed, count = re.subn(pattern, replacement, text, count=1)
    assert count, f"{pattern!r} is not in {file.name}"
    file.write_text(changed)


def requirements(project: Path) -> Path:
    return project / "stacks" / "bank-dev.requirements.yaml"


def plan(project: Path) -> Path:
    return project / "stacks" / "bank-dev.plan.yaml"


def settings(project: Path) -> Path:
    return project / "stacks" / "Pulumi.bank-dev.yaml"


def leave_sandbox(project: Path) -> None:
    """A stack of a real account and cluster, whose VPN device has a real address that the organisation trusts."""
    vpn = "{value: 52.29.1.2/32, reason: our VPN device, owner: network team}"
    (project / "trust.yaml").write_text(f"isthmus: v1\naddress_ranges:\n  - {vpn}\n")
    edit(settings(project), 'isthmus:sandbox: "true"', 'isthmus:sandbox: "false"')
    edit(settings(project), "- name: fra1-frankfurt", "- name: fra1-frankfurt\n        peer_ip: 52.29.1.2")
    resolve(project)


def unknown_sensitivity(project):
    edit(requirements(project), "sensitivity: restricted", "sensitivity: secretive")


def unknown_regime(project):
    edit(requirements(project), r"regimes: \[gdpr, amlr\]", "regimes: [gdpr, amrl]")


def broken_yaml(project):
    edit(requirements(project), "isthmus: v1", "isthmus: [v1")


def restricted_on_aws(project):
    cloud = bank.serving("policy-assistant").id
    edit(plan(project), f"endpoint: {bank.serving('transaction-narratives').id}", f"endpoint: {cloud}")


def of_other_requirements(project):
    edit(requirements(project), "monthly_usd: 60000", "monthly_usd: 59999")


def missing_pool(project):
    edit(plan(project), "gpu: h100-sxm-80gb", "gpu: l4-24gb")


def more_gpus_than_a_node_has(project):
    serving = bank.serving("transaction-narratives")
    edit(plan(project), f"tensor_parallel: {serving.tensor_parallel}", "tensor_parallel: 16")
    edit(plan(project), f"gpus: {serving.gpus}", f"gpus: {16 * (serving.replicas or 0)}")


def misspelt_override(project):
    edit(settings(project), "monitoring:", "monitorng:")


CASES = [
    (unknown_sensitivity, 2, ["bank-dev.requirements.yaml:", "secretive", "restricted"]),
    (unknown_regime, 2, ["bank-dev.requirements.yaml:", "amrl", "amlr"]),
    (broken_yaml, 2, ["bank-dev.requirements.yaml:", "does not parse"]),
    (restricted_on_aws, 1, ["restricted", "transaction-narratives"]),
    (
        of_other_requirements,
        2,
        ["the requirements have changed since the plan was made", "isthmus plan", "bank-dev.plan.yaml`"],
    ),
    (missing_pool, 2, ["l4-24gb"]),
    (more_gpus_than_a_node_has, 2, ["16 GPUs in one node", "8"]),
    (misspelt_override, 2, ["monitorng", "monitoring"]),
]


@pytest.mark.parametrize("command", ["render", "up"])
@pytest.mark.parametrize(("break_it", "code", "phrases"), CASES, ids=[case[0].__name__ for case in CASES])
def test_bad_input_is_reported_in_one_paragraph_before_anything_is_created(
    isthmus, project, command, break_it, code, phrases
):
    break_it(project)
    where = ["-o", project / "made"] if command == "render" else ["--yes"]
    result = isthmus(command, "bank-dev", "--project", project, *where)
    assert result.code == code, result.err
    assert result.out == ""
    for phrase in phrases:
        assert phrase in result.err
    paragraphs = result.err.strip().splitlines()
    assert len(paragraphs) == 1, f"more than a paragraph: {result.err}"
    assert "Traceback" not in result.err
    assert not (project / "made").exists()
    assert not (project / "out").exists()


def test_up_without_a_sandbox_names_the_fix(isthmus, project):
    result = isthmus("up", "bank-dev", "--yes", "--project", project)
    assert result.code == 3
    assert "isthmus sandbox up" in result.err
    assert "bank-dev.requirements.yaml" in result.err
    assert not (project / "out").exists()


def test_without_a_terminal_the_error_names_the_option_that_confirms(isthmus, project):
    result = isthmus("up", "bank-dev", "--project", project)
    assert result.code == 2
    assert "--yes" in result.err


def kubeconfig(folder: Path, context: str, server: str) -> Path:
    file = folder / "kubeconfig"
    file.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": "none"}}],
                "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
            }
        )
    )
    return file


@pytest.fixture
def tools(tmp_path: Path) -> str:
    """A PATH with programs by the right names: they are looked for before clusters are asked."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("pulumi", "pulumi-language-python"):
        (folder / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_an_unreachable_cluster_is_reported_with_context_and_address(isthmus, project, tmp_path, tools):
    leave_sandbox(project)
    file = kubeconfig(tmp_path, "fra1", "https://127.0.0.1:9")
    result = isthmus("up", "bank-dev", "--yes", "--project", project, KUBECONFIG=str(file), PATH=tools)
    assert result.code == 3
    assert "`fra1`" in result.err
    assert "https://127.0.0.1:9" in result.err


def test_the_kubeconfig_in_the_stacks_settings_is_used(isthmus, project, tmp_path, tools):
    leave_sandbox(project)
    file = kubeconfig(tmp_path, "fra1", "https://127.0.0.1:9")
    edit(settings(project), "config:\n", f"config:\n  isthmus:kubeconfig: {file}\n")
    result = isthmus("up", "bank-dev", "--yes", "--project", project, KUBECONFIG="/nowhere", PATH=tools)
    assert result.code == 3
    assert "https://127.0.0.1:9" in result.err


def test_a_relative_kubeconfig_path_is_refused(isthmus, project):
    edit(settings(project), "config:\n", "config:\n  isthmus:kubeconfig: kube/config\n")
    result = isthmus("up", "bank-dev", "--yes", "--project", project)
    assert result.code == 2
    assert "`kube/config` must be an absolute path" in result.err


def test_a_missing_context_is_refused_with_the_known_ones(isthmus, project, tmp_path, tools):
    leave_sandbox(project)
    file = kubeconfig(tmp_path, "elsewhere", "https://127.0.0.1:9")
    result = isthmus("up", "bank-dev", "--yes", "--project", project, KUBECONFIG=str(file), PATH=tools)
    assert result.code == 3
    assert "elsewhere" in result.err


def test_a_missing_tool_is_reported_by_name(isthmus, project):
    leave_sandbox(project)
    result = isthmus("up", "bank-dev", "--yes", "--project", project, PATH="/nowhere")
    assert result.code == 3
    assert "pulumi" in result.err
