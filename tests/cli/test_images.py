"""`isthmus images` through the real command line. Resolving digests is in test_images_resolving."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from isthmus.contracts import images_lock
from isthmus.core import yaml_files
from tests.cli.conftest import Isthmus, resolve
from tests.contracts.bank import DIGEST
from tests.sampling import sampled


def leave_sandbox(project: Path) -> None:
    """Take the stack out of the sandbox."""
    file = project / "stacks" / "Pulumi.bank-dev.yaml"
    file.write_text(file.read_text().replace('isthmus:sandbox: "true"', 'isthmus:sandbox: "false"'))


@pytest.mark.parametrize("kind", sampled(["json", "text", "zarf", "hauler"], 4))
def test_the_list_of_images_is_reproducible_and_alone_on_stdout(isthmus: Isthmus, project, kind: str):
    first = isthmus("images", "bank-dev", "--format", kind, "--project", project)
    again = isthmus("images", "bank-dev", "--format", kind, "--project", project, PYTHONHASHSEED="7")
    assert (first.code, first.err) == (0, "")
    assert first == again
    assert "docker.io/vllm/vllm-openai" in first.out


def test_json_gives_purpose_source_target_and_users_of_each_image(isthmus: Isthmus, project):
    resolve(project)
    data = json.loads(isthmus("images", "bank-dev", "--format", "json", "--project", project).out)
    assert set(data) == {"images", "charts"}
    keys = {"name", "purpose", "upstream", "digest", "target", "used_by"}
    assert all(set(row) == keys for part in data.values() for row in part)
    vllm = next(image for image in data["images"] if image["name"] == "vllm")
    assert vllm["upstream"] == "docker.io/vllm/vllm-openai:v0.33.0"
    assert vllm["target"] == f"registry.bank.example/vllm/vllm-openai@{DIGEST}"
    assert vllm["used_by"]


def test_outside_the_sandbox_every_missing_digest_is_an_error_that_names_it(isthmus: Isthmus, project):
    leave_sandbox(project)
    result = isthmus("images", "bank-dev", "--format", "hauler", "--project", project)
    assert (result.code, result.out) == (2, "")
    for name in ("vllm (docker.io/vllm/vllm-openai:v0.33.0)", "credential_helper (", "kueue (oci://"):
        assert name in result.err
    assert "edge (" not in result.err, "the overrides give it"
    assert "isthmus images bank-dev --resolve" in result.err
    assert result.err.count("\n") == 1


def test_a_single_chart_without_a_digest_is_an_error_too(isthmus: Isthmus, project):
    leave_sandbox(project)
    resolve(project, but="kueue")
    result = isthmus("images", "bank-dev", "--project", project)
    assert result.code == 2
    assert "these have no digest: kueue (" in result.err
    resolve(project)
    assert isthmus("images", "bank-dev", "--project", project).code == 0


def test_unresolved_images_are_rendered_only_in_the_sandbox(isthmus: Isthmus, project):
    leave_sandbox(project)
    result = isthmus("render", "bank-dev", "-o", project / "made", "--project", project)
    assert result.code == 2
    assert "these have no digest: vllm" in result.err
    assert "isthmus images bank-dev --resolve" in result.err
    assert not (project / "made").exists()


def test_placeholder_digests_of_the_sandbox_are_not_listed(isthmus: Isthmus, project):
    result = isthmus("images", "bank-dev", "--format", "zarf", "--project", project)
    [package] = YAML(typ="safe", pure=True).load_all(result.out)
    assert "docker.io/vllm/vllm-openai:v0.33.0" in package["components"][0]["images"]


def test_an_unknown_stack_names_the_nearest(isthmus: Isthmus, project):
    result = isthmus("images", "bank-dve", "--project", project)
    assert result.code == 2
    assert "Did you mean `bank-dev`?" in result.err


@pytest.mark.parametrize("options", [["--update"], ["--registry", "registry.bank.example"]])
def test_options_that_need_resolve_are_a_usage_error_without_it(
    isthmus: Isthmus, project, options: list[str]
):
    result = isthmus("images", "bank-dev", *options, "--project", project)
    assert result.code == 2
    assert options[0] in result.err
    assert "--resolve" in result.err


def test_a_mirror_without_tls_on_another_machine_is_refused(isthmus: Isthmus, project):
    result = isthmus(
        "images", "bank-dev", "--resolve", "--registry", "http://registry.bank.example", "--project", project
    )
    assert result.code == 2
    assert "does not use TLS" in result.err


def test_unreachable_registries_leave_the_lock_unchanged(isthmus: Isthmus, project):
    before = (project / images_lock.FILE).read_bytes()
    result = isthmus(
        "images", "bank-dev", "--resolve", "--registry", "http://127.0.0.1:1", "--project", project
    )
    assert (result.code, result.out) == (3, "")
    missing = "vllm, credential_helper, resolver, chat, sign_on, cert-manager, gpu-operator, kueue"
    assert f"not resolved: {missing}" in result.err
    assert (project / images_lock.FILE).read_bytes() == before


def test_a_faulty_lock_is_reported_with_its_line(isthmus: Isthmus, project):
    file = project / images_lock.FILE
    data = yaml_files.load(file).data
    data["images"]["vllm"]["referense"] = data["images"]["vllm"].pop("reference")
    yaml_files.dump(data, "", file)
    result = isthmus("images", "bank-dev", "--project", project)
    assert result.code == 2
    assert "images.lock.yaml:" in result.err
    assert "reference" in result.err
