"""Bad input, through the real command line: one paragraph, the right exit code, nothing half-made."""

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


def in_earnest(project: Path) -> None:
    """A stack of a real account and cluster, whose VPN device has a real address."""
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
    ran = isthmus(command, "bank-dev", "--project", project, *where)
    assert ran.code == code, ran.err
    assert ran.out == ""
    for phrase in phrases:
        assert phrase in ran.err
    paragraphs = ran.err.strip().splitlines()
    assert len(paragraphs) == 1, f"more than a paragraph: {ran.err}"
    assert "Traceback" not in ran.err
    assert not (project / "made").exists()
    assert not (project / "out").exists()


def test_up_without_a_sandbox_names_the_fix(isthmus, project):
    ran = isthmus("up", "bank-dev", "--yes", "--project", project)
    assert ran.code == 3
    assert "isthmus sandbox up" in ran.err
    assert "bank-dev.requirements.yaml" in ran.err
    assert not (project / "out").exists()


def test_without_a_terminal_the_error_names_the_option(isthmus, project):
    ran = isthmus("up", "bank-dev", "--project", project)
    assert ran.code == 2
    assert "--yes" in ran.err


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


def test_no_cluster_names_context_and_address(isthmus, project, tmp_path, tools):
    in_earnest(project)
    file = kubeconfig(tmp_path, "fra1", "https://127.0.0.1:9")
    ran = isthmus("up", "bank-dev", "--yes", "--project", project, KUBECONFIG=str(file), PATH=tools)
    assert ran.code == 3
    assert "`fra1`" in ran.err
    assert "https://127.0.0.1:9" in ran.err


def test_the_cluster_is_sought_in_the_kubeconfig_that_the_stacks_settings_name(
    isthmus, project, tmp_path, tools
):
    in_earnest(project)
    file = kubeconfig(tmp_path, "fra1", "https://127.0.0.1:9")
    edit(settings(project), "config:\n", f"config:\n  isthmus:kubeconfig: {file}\n")
    ran = isthmus("up", "bank-dev", "--yes", "--project", project, KUBECONFIG="/nowhere", PATH=tools)
    assert ran.code == 3
    assert "https://127.0.0.1:9" in ran.err


def test_a_kubeconfig_that_every_folder_would_find_elsewhere_is_refused(isthmus, project):
    edit(settings(project), "config:\n", "config:\n  isthmus:kubeconfig: kube/config\n")
    ran = isthmus("up", "bank-dev", "--yes", "--project", project)
    assert ran.code == 2
    assert "`kube/config` must be an absolute path" in ran.err


def test_a_missing_context_is_refused_with_the_known_ones(isthmus, project, tmp_path, tools):
    in_earnest(project)
    file = kubeconfig(tmp_path, "elsewhere", "https://127.0.0.1:9")
    ran = isthmus("up", "bank-dev", "--yes", "--project", project, KUBECONFIG=str(file), PATH=tools)
    assert ran.code == 3
    assert "elsewhere" in ran.err


def test_a_missing_tool_is_named(isthmus, project):
    in_earnest(project)
    ran = isthmus("up", "bank-dev", "--yes", "--project", project, PATH="/nowhere")
    assert ran.code == 3
    assert "pulumi" in ran.err
