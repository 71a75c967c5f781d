"""What `env` prints: everything a shell needs, no secret, and our AWS plugin only where no real one is."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from isthmus.core.errors import EnvironmentFault
from sandbox import environment, processes
from sandbox.endpoint import NAME
from sandbox.home import Home


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home that looks up: one recorded process (this one) and no site."""
    created = Home.at(tmp_path / "it's a home")
    created.make()
    environment.prepare(created)
    created.write_state(
        {"sites": {}, "aws": {"port": 20001, "region": "eu-west-1"}, "requirements": "r.yaml"}
    )
    processes.record(created, {NAME: os.getpid()})
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "no-pulumi"))
    return created


def test_a_shell_that_evaluates_it_has_every_variable(home):
    expected = environment.variables(home)
    script = environment.shell(home) + "env -0"
    printed = subprocess.run(
        ["sh", "-c", script],
        capture_output=True,
        check=True,
        env=os.environ | {"PULUMI_CONFIG_PASSPHRASE": "other"},
    ).stdout.decode()
    actual = {
        name: value for name, _, value in (entry.partition("=") for entry in printed.split("\0") if entry)
    }
    assert {name: actual.get(name) for name in expected} == expected
    assert "PULUMI_CONFIG_PASSPHRASE" not in actual
    assert actual["ISTHMUS_AWS_ENDPOINT"] == "http://127.0.0.1:20001"
    assert actual["AWS_REGION"] == "eu-west-1"


def test_an_address_of_one_aws_service_alone_does_not_outlive_it(home, monkeypatch):
    elsewhere = {
        "AWS_ENDPOINT_URL_S3": "https://s3.example",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://b.example",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    }
    for name, value in elsewhere.items():
        monkeypatch.setenv(name, value)
    printed = subprocess.run(
        ["sh", "-c", environment.shell(home) + "env"], capture_output=True, check=True, text=True
    ).stdout
    assert "AWS_ENDPOINT_URL=http://127.0.0.1:20001\n" in printed
    assert not [name for name in elsewhere if f"{name}=" in printed]


def test_every_sandbox_has_the_passphrase_that_the_committed_stack_settings_belong_to(home, tmp_path):
    """With one of its own each, Pulumi would rewrite the salt in the repository, and refuse the next machine."""
    other = Home.at(tmp_path / "other")
    other.make()
    environment.prepare(other)
    assert other.passphrase.read_text() == home.passphrase.read_text()
    assert home.passphrase.read_text().strip() == environment.PASSPHRASE
    settings = Path(__file__).resolve().parents[2] / "stacks" / "Pulumi.bank-dev.yaml"
    assert "\nencryptionsalt: v1:" in settings.read_text()


def test_our_aws_plugin_is_on_path_only_where_no_real_one_is(home, tmp_path, monkeypatch):
    assert str(home.aws_plugin) in environment.variables(home)["PATH"].split(os.pathsep)
    real = tmp_path / "real"
    real.mkdir()
    (real / "pulumi-resource-aws").write_bytes(b"\x7fELF")
    (real / "pulumi-resource-aws").chmod(0o755)
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{real}")
    assert str(home.aws_plugin) not in environment.variables(home)["PATH"].split(os.pathsep)


def test_a_real_aws_plugin_of_the_users_own_pulumi_is_used(home, tmp_path, monkeypatch):
    folder = tmp_path / "pulumi" / "plugins" / "resource-aws-v7.51.0"
    folder.mkdir(parents=True)
    (folder / "pulumi-resource-aws").write_bytes(b"\x7fELF")
    (folder / "pulumi-resource-aws").chmod(0o755)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    path = environment.variables(home)["PATH"].split(os.pathsep)
    assert str(folder) in path
    assert str(home.aws_plugin) not in path


def test_a_sandbox_that_is_not_up_says_how_to_start_it(tmp_path):
    with pytest.raises(EnvironmentFault, match=r"not up.*isthmus sandbox up REQUIREMENTS"):
        environment.variables(Home.at(tmp_path / "nothing"))


def test_a_process_that_ended_is_named_with_the_command_that_mends_it(home):
    home.processes.unlink()
    with pytest.raises(EnvironmentFault, match=r"no longer run: .*aws-endpoint.*isthmus sandbox up r\.yaml"):
        environment.variables(home)


def test_lines_are_quoted_for_the_shell(home):
    assert f"export KUBECONFIG={shlex.quote(str(home.kubeconfig))}" in environment.shell(home).splitlines()
