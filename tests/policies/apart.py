"""The bank's platform with a separate network for public work that has internet access."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.platform.overrides import merge
from isthmus.core import yaml_files
from isthmus.engine.project import project
from isthmus.engine.render import rendering
from isthmus.engine.render.recorder import Resource
from isthmus.graph.resources.resources import Graph
from tests.blueprints.bank import STACK
from tests.laying import lay

CIDR = "10.81.0.0/16"
OVERRIDES: dict[str, Any] = {
    "networks": [
        {"name": "frankfurt", "classes": ["internal"]},
        {
            "name": "open",
            "site": "frankfurt",
            "mode": "manage",
            "classes": ["public"],
            "cidr": CIDR,
            "zones": ["eu-central-1a", "eu-central-1b"],
            "internet": True,
            "services": ["bedrock-runtime", "rolesanywhere"],
            "flow_log_days": 365,
        },
    ],
    "links": [
        {"name": "fra1-frankfurt", "classes": ["internal"]},
        {
            "name": "fra1-open",
            "from": "fra1",
            "to": "frankfurt",
            "kind": "vpn",
            "mode": "manage",
            "classes": ["public"],
            "peer_ip": "198.51.100.11",
            "site_asn": 65010,
            "amazon_asn": 64513,
            "resolvers": "off",
        },
    ],
    "gateways": [{"name": "public-fra1", "destinations": [{"name": "frankfurt", "cidr": CIDR, "port": 443}]}],
}


def rendered_bank(overrides: dict[str, Any]) -> tuple[list[Resource], Platform]:
    """The bank with further overrides, rendered from a copy of the project."""
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        file = lay(folder, bank=True) / f"Pulumi.{STACK}.yaml"
        data = yaml_files.load(file).data
        data["config"]["isthmus:overrides"] = merge(data["config"]["isthmus:overrides"], overrides)
        yaml_files.dump(data, "", file)
        stack = project.find_project(folder).stack(STACK)
        return list(rendering.render(stack).resources), stack.platform()


@functools.cache
def apart() -> tuple[Graph, Platform]:
    """The graph of that platform, rendered once, for tests that only read it."""
    resources, platform = rendered_bank(OVERRIDES)
    return Graph(resources), platform
