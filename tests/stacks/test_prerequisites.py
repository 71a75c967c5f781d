"""A sandbox stack cannot reach beyond this machine, whatever the shell holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.core import yaml_files
from isthmus.core.errors import EnvironmentFault
from stacks import prerequisites
from tests.blueprints.bank import platform

HERE = "https://127.0.0.1:6443"
AWS = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}


def kubeconfig(folder: Path, server: str = HERE, context: str = "fra1") -> str:
    path = folder / "kubeconfig"
    data = {
        "clusters": [{"name": "one", "cluster": {"server": server}}],
        "contexts": [{"name": context, "context": {"cluster": "one", "user": "me"}}],
    }
    yaml_files.dump(data, "", path)
    return str(path)


def check(path: str, environment: dict[str, str], *, sandbox: bool = True) -> None:
    prerequisites.check(platform(), sandbox=sandbox, environment={"KUBECONFIG": path, **environment})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"])
def test_this_machines_own_addresses_are_let_through(tmp_path: Path, host: str):
    check(kubeconfig(tmp_path, f"https://{host}:6443"), {"AWS_ENDPOINT_URL": f"http://{host}:4566"})


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.amazonaws.com",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "http://localhost.example",
        "http://169.254.169.254",
        "http://0.0.0.0:1",
        "127.0.0.1:4566",
    ],
)
def test_a_sandbox_stack_refuses_every_other_aws_endpoint(tmp_path: Path, url: str):
    with pytest.raises(EnvironmentFault, match="not this machine"):
        check(kubeconfig(tmp_path), {"AWS_ENDPOINT_URL": url})


def test_an_endpoint_of_one_service_counts_too(tmp_path: Path):
    with pytest.raises(EnvironmentFault, match=r"AWS_ENDPOINT_URL_IAM leads to iam\.example"):
        check(kubeconfig(tmp_path), {**AWS, "AWS_ENDPOINT_URL_IAM": "https://iam.example"})


def test_a_switch_that_makes_aws_ignore_the_endpoint_is_refused(tmp_path: Path):
    with pytest.raises(EnvironmentFault, match="would lead to the real AWS"):
        check(kubeconfig(tmp_path), {**AWS, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True"})


def test_a_sandbox_stack_without_an_endpoint_stops(tmp_path: Path):
    with pytest.raises(EnvironmentFault, match="AWS_ENDPOINT_URL is not set"):
        check(kubeconfig(tmp_path), {})


def test_a_sandbox_stack_refuses_a_cluster_elsewhere(tmp_path: Path):
    with pytest.raises(EnvironmentFault, match=r"context `fra1` leads to https://kube\.bank\.example"):
        check(kubeconfig(tmp_path, "https://kube.bank.example"), AWS)


def test_a_stack_outside_the_sandbox_may_reach_named_services(tmp_path: Path):
    check(kubeconfig(tmp_path, "https://kube.bank.example"), {}, sandbox=False)


def test_a_missing_context_is_named_with_those_that_are_there(tmp_path: Path):
    with pytest.raises(
        EnvironmentFault, match=r"no context `fra1`.*sandbox up.*Known contexts: other"
    ) as caught:
        check(kubeconfig(tmp_path, context="other"), AWS)
    assert caught.value.exit_code == 3


def test_the_advice_to_start_a_sandbox_is_for_sandbox_stacks_only(tmp_path: Path):
    (tmp_path / "bad").write_text("a: [")
    for path, fix in (
        (kubeconfig(tmp_path, context="other"), "Correct the site's"),
        (str(tmp_path / "bad"), "set KUBE"),
    ):
        with pytest.raises(EnvironmentFault, match=f"Fix: .*{fix}") as caught:
            check(path, {}, sandbox=False)
        assert "sandbox" not in caught.value.fix


def test_no_kubeconfig_is_a_fault_of_the_environment():
    with pytest.raises(EnvironmentFault, match="KUBECONFIG is not set"):
        check("", AWS)


def test_a_kubeconfig_that_does_not_parse_is_a_fault_of_the_environment(tmp_path: Path):
    (tmp_path / "bad").write_text("a: [")
    with pytest.raises(EnvironmentFault, match=r"kubeconfig cannot be used.*sandbox up"):
        check(str(tmp_path / "bad"), AWS)
