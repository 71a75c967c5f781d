"""Secrets in environment variables are read like files, and removed from the environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge import environment
from edge.config import ConfigError, check, load
from edge.environment import as_file
from tests.edge.test_config import FILE, gateway


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_path_by_variable", {})


def test_a_variable_is_read_as_a_file_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EDGE_KEY", "a key\n")
    path = Path(str(as_file("env:EDGE_KEY")))
    assert path.read_text() == "a key\n"
    assert path.read_text() == "a key\n", "each reading starts at the beginning"
    assert path.stat().st_size == 6


def test_a_variable_that_was_read_is_no_longer_in_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EDGE_KEY", "a key")
    first = as_file("env:EDGE_KEY")
    assert "EDGE_KEY" not in os.environ
    assert as_file("env:EDGE_KEY") == first, "the listener and its upstream name the same one"


def test_nobody_can_change_what_was_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EDGE_KEY", "a key")
    path = Path(str(as_file("env:EDGE_KEY")))
    with pytest.raises(PermissionError):
        path.write_text("another key")


def test_a_path_stays_a_path():
    assert as_file("/etc/isthmus/tls/tls.key") == "/etc/isthmus/tls/tls.key"
    assert as_file(Path("config.yaml")) == Path("config.yaml")


def test_a_variable_that_is_not_set_is_an_error_that_names_it():
    config = gateway()
    config["listen"]["key"] = "env:EDGE_NO_KEY"
    with pytest.raises(ConfigError, match=r"listen.key: the environment variable EDGE_NO_KEY is not set"):
        check(config, FILE)


def test_the_configuration_itself_may_be_a_variable(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match="env:EDGE_CONFIG: the environment variable EDGE_CONFIG is not set"):
        load(Path("env:EDGE_CONFIG"))
    monkeypatch.setenv("EDGE_CONFIG", "mode: nothing\n")
    with pytest.raises(
        ConfigError,
        match="env:EDGE_CONFIG: mode: must be gateway, sidecar, translator, sealer, detector or reviews",
    ):
        load(Path("env:EDGE_CONFIG"))
