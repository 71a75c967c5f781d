"""Secrets in environment variables: read like files, and removed from the environment."""

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


def test_a_secret_in_a_variable_is_read_like_a_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EDGE_KEY", "a key\n")
    path = Path(str(as_file("env:EDGE_KEY")))
    assert path.read_text() == "a key\n"
    assert path.read_text() == "a key\n", "each reading starts at the beginning"
    assert path.stat().st_size == 6


def test_a_variable_is_removed_from_the_environment_after_reading(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EDGE_KEY", "a key")
    first = as_file("env:EDGE_KEY")
    assert "EDGE_KEY" not in os.environ
    assert as_file("env:EDGE_KEY") == first, "the listener and its upstream name the same one"


def test_the_content_of_a_read_variable_cannot_be_changed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EDGE_KEY", "a key")
    path = Path(str(as_file("env:EDGE_KEY")))
    with pytest.raises(PermissionError):
        path.write_text("another key")


def test_a_file_path_is_returned_unchanged():
    assert as_file("/etc/isthmus/tls/tls.key") == "/etc/isthmus/tls/tls.key"
    assert as_file(Path("config.yaml")) == Path("config.yaml")


def test_an_unset_variable_is_an_error_that_names_it():
    config = gateway()
    config["listen"]["key"] = "env:EDGE_NO_KEY"
    with pytest.raises(ConfigError, match=r"listen.key: the environment variable EDGE_NO_KEY is not set"):
        check(config, FILE)


def test_the_configuration_may_be_given_in_a_variable(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match="env:EDGE_CONFIG: the environment variable EDGE_CONFIG is not set"):
        load(Path("env:EDGE_CONFIG"))
    monkeypatch.setenv("EDGE_CONFIG", "mode: nothing\n")
    with pytest.raises(
        ConfigError,
        match="env:EDGE_CONFIG: mode: must be gateway, sidecar",
    ):
        load(Path("env:EDGE_CONFIG"))
