"""The program of a stack, run by mocks: what it makes, and what its providers are given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from isthmus.engine.project import project
from isthmus.engine.render import rendering
from tests.blueprints import bank
from tests.blueprints.bank import ROOT, STACK, STACKS, plan_data


@pytest.fixture(scope="module")
def rendered() -> rendering.Rendered:
    return bank.rendered()


def providers(rendered_stack: rendering.Rendered) -> dict[str, dict[str, Any]]:
    return {
        resource.name: resource.inputs
        for resource in rendered_stack.resources
        if resource.type.startswith("pulumi:providers:")
    }


def test_each_site_has_one_provider_and_nothing_uses_another(rendered: rendering.Rendered):
    assert set(providers(rendered)) == {"fra1", "frankfurt"}
    bare = [
        resource.urn
        for resource in rendered.resources
        if resource.custom and not resource.type.startswith("pulumi:") and not resource.provider
    ]
    assert not bare, f"would use a default provider: {bare}"


def test_a_cluster_is_known_by_its_site_and_not_by_its_address(rendered: rendering.Rendered):
    cluster = providers(rendered)["fra1"]
    assert cluster["clusterIdentifier"] == "fra1"
    assert cluster["context"] == "fra1"


def test_no_input_of_a_provider_changes_with_the_sandboxs_ports(rendered: rendering.Rendered):
    for name, inputs in providers(rendered).items():
        assert "127.0.0.1" not in str(inputs), name
        assert "endpoints" not in inputs, name


def test_a_sandbox_stack_gives_aws_keys_that_no_account_accepts(rendered: rendering.Rendered):
    aws = providers(rendered)["frankfurt"]
    assert aws["region"] == "eu-central-1"
    assert "skipCredentialsValidation" in aws
    assert "accessKey" in aws
    assert "secretKey" in aws


def test_the_stack_outputs_describe_it(rendered: rendering.Rendered):
    outputs = rendered.outputs
    assert set(outputs) == {
        "gateways",
        "endpoints",
        "audit",
        "retained",
        "links",
        "data_paths",
        "plan",
        "pools",
        "standing",
    }
    assert len(outputs["gateways"]) == 4
    assert len(outputs["data_paths"]) == 4
    assert outputs["plan"]["requirements_sha256"] == plan_data()["requirements_sha256"]
    restricted = next(line for line in outputs["data_paths"] if "transaction-narratives" in line)
    assert "never AWS" in restricted


def test_default_providers_are_off():
    config = yaml_files.load(STACKS / f"Pulumi.{STACK}.yaml").data["config"]
    assert config["pulumi:disable-default-providers"] == ["*"]


def test_importing_the_program_does_nothing_and_loads_no_sdk():
    code = "import sys, stacks.program; print([name for name in sys.modules if name.startswith('pulumi')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_of_the_program_shadows_the_standard_library():
    names = {path.stem for path in STACKS.glob("*.py")}
    assert not names & sys.stdlib_module_names


def test_main_puts_the_root_on_the_path_in_place_of_its_own_folder(tmp_path: Path):
    text = (STACKS / "__main__.py").read_text().split("from isthmus")[0]
    script = f"__file__ = {str(STACKS / '__main__.py')!r}\n{text}\nprint(*sys.path, sep='\\n')\n"
    environment = {**os.environ, "PYTHONPATH": f"{STACKS}{os.pathsep}{STACKS}/."}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == str(ROOT)
    assert str(STACKS) not in lines
    assert f"{STACKS}/." not in lines


def test_a_stacks_setting_of_a_wrong_kind_is_named(tmp_path: Path):
    copied = tmp_path / "stacks"
    copied.mkdir()
    (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    settings = yaml_files.load(STACKS / f"Pulumi.{STACK}.yaml").data
    settings["config"]["isthmus:overrides"] = ["images"]
    yaml_files.dump(settings, "", copied / f"Pulumi.{STACK}.yaml")
    from stacks import program

    with pytest.raises(InputError, match=r"overrides are not a mapping|of a wrong kind"):
        rendering.record_program(program.program, project.find_project(tmp_path).stack(STACK))


def test_the_requirements_are_the_banks_with_the_header_that_editors_read():
    lines = (STACKS / f"{STACK}.requirements.yaml").read_text().splitlines()
    assert lines[0] == "# yaml-language-server: $schema=../docs/schemas/requirements.json"


def test_a_stack_in_aws_alone_asks_for_no_kubeconfig(monkeypatch: pytest.MonkeyPatch):
    from stacks import prerequisites, program, providers
    from tests.components.fargate import cloud

    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(providers, "aws", lambda site, tags, sandbox: site.name)
    platform, settings = CheckedPlatform.model_validate(cloud()), program.Settings("insurer", Path(), {})
    assert program.site_providers(platform, settings, live=True) == {"frankfurt": "frankfurt"}
    prerequisites.check(platform, sandbox=False, environment={})
