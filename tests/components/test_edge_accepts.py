"""The edge's own reading of the configurations that the components render."""

from collections import Counter
from pathlib import Path

from edge.config import load
from tests.components.conftest import Engine


def test_the_edge_accepts_every_configuration(built: Engine, tmp_path: Path) -> None:
    modes = []
    for config_map in built.all("ConfigMap"):
        if "Corefile" in config_map.inputs["data"]:
            # CoreDNS reads it: tests/graders/test_names.py runs that.
            continue
        file = tmp_path / "config.yaml"
        file.write_text(config_map.inputs["data"]["config.yaml"], encoding="utf-8")
        modes.append(load(file).mode)
    expected = {"gateway": 4, "sealer": 4, "sidecar": 2, "translator": 2, "detector": 2}
    assert Counter(modes) == expected
