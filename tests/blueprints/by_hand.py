"""A plan for the bank's requirements that is made by hand, no planner's: what the bank's own lock does not show.

Four GPUs a replica, both of the site's pools in use, one endpoint spread over domains and one over nodes. Nothing is
predicted and nothing priced.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.contracts.platform import overrides as laying
from isthmus.core import yaml_files
from tests.blueprints import bank
from tests.contracts.bank import DIGEST
from tests.contracts.bank import plan_data as shape

WARNING = "Written by hand and not sized."
EVIDENCE = {"kind": "given", "source": "chosen by hand, nothing measured", "as_of": "2026-11-25"}
POOLS = {"restricted-llama-70b": "fra1-h100-sxm-80gb", "confidential-llama-8b": "fra1-l40s-48gb"}
"""Which pool each endpoint on GPUs runs on."""


def plan_data() -> dict[str, Any]:
    """A fresh copy of the plan's data."""
    lock, plan = bank.plan_data(), shape()
    for endpoint in plan["endpoints"]:
        endpoint["evidence"] = dict(EVIDENCE)
    return {
        **plan,
        "requirements_sha256": yaml_files.digest(bank.requirements_data()),
        "gateways": lock["gateways"],
        "warnings": [WARNING],
    }


def overrides() -> dict[str, Any]:
    """The bank's, with weights for this plan's models."""
    models = {
        "restricted-llama-70b": "llama-3-3-70b-instruct",
        "confidential-llama-8b": "llama-3-1-8b-instruct",
    }
    weights = [
        {
            "id": name,
            "weights": {
                # By the model, as the bank's own: the endpoint that comes after it claims the same.
                "uri": f"pvc://{model}",
                "volume": f"weights-meta-llama-{model}",
                "digest": DIGEST,
            },
        }
        for name, model in models.items()
    ]
    return {**laying.merge(bank.without_teams(bank.overrides()), {}), "endpoints": weights}


def write(folder: Path) -> None:
    """Take the place of the plan and of its weights in a folder of stacks."""
    yaml_files.dump(plan_data(), "", folder / f"{bank.STACK}.plan.yaml")
    settings = folder / f"Pulumi.{bank.STACK}.yaml"
    data = yaml_files.load(settings).data
    data["config"]["isthmus:overrides"] = overrides()
    yaml_files.dump(data, "", settings)
