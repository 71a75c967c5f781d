"""Components write the edge's files through the edge's own models."""

from collections import Counter
from pathlib import Path

import pytest

from components.cluster import edge_files
from edge.config import load
from isthmus.core.errors import InputError
from tests.components.conftest import Engine


def test_the_edge_accepts_every_configuration(built: Engine, tmp_path: Path) -> None:
    modes = []
    for config_map in built.all("ConfigMap"):
        if "Corefile" in config_map.inputs["data"]:
            # CoreDNS reads it: tests/graders/test_names.py runs that.
            continue
        if "grafana_dashboard" in config_map.inputs["metadata"]["labels"]:
            continue
        file = tmp_path / "config.yaml"
        file.write_text(config_map.inputs["data"]["config.yaml"], encoding="utf-8")
        modes.append(load(file).mode)
    expected = {"gateway": 4, "sealer": 4, "sidecar": 2, "translator": 2, "detector": 2}
    assert Counter(modes) == expected


def test_a_configuration_that_the_edge_would_refuse_is_not_written() -> None:
    config = edge_files.gateway_config("confidential", "fra1", [])
    config["limits"]["max_body_bytes"] = "much"
    with pytest.raises(
        InputError, match=r"the edge's gateway would not start.*limits\.max_body_bytes: .*valid integer"
    ):
        edge_files.write_config(config)


def test_an_unknown_key_is_named_with_the_mode() -> None:
    config = edge_files.sidecar_config("internal", ["gateway.isthmus-internal.svc"]) | {"colour": "red"}
    with pytest.raises(InputError, match=r"the edge's sidecar would not start.*colour: this key is unknown"):
        edge_files.write_config(config)


def test_a_key_in_a_variable_of_the_task_is_not_looked_for_here() -> None:
    config = edge_files.sealer_config("internal", "frankfurt", {}, {"signing_key": "env:EDGE_SIGNING_KEY"})
    with pytest.raises(InputError) as caught:
        edge_files.write_config(config)
    assert "store" in str(caught.value)
    assert "EDGE_SIGNING_KEY" not in str(caught.value)


def test_a_value_that_is_known_only_after_the_deployment_is_not_judged() -> None:
    config = edge_files.gateway_config("confidential", "${site.name}", [{"model": "${profile.arn}"}])
    with pytest.raises(InputError) as caught:
        edge_files.write_config(config)
    assert "workload: this key is missing" in str(caught.value)
    assert "site" not in str(caught.value)
