"""The bank as an estate: its files in a folder of their own, a stack a layer, serving split in two."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isthmus.blueprints.estates import OVERRIDES
from isthmus.contracts.platform import overrides as overriding
from isthmus.contracts.requirements import document as requirements_document
from isthmus.core import yaml_files
from isthmus.engine.project.project import Project
from tests.blueprints.bank import ROOT, STACK
from tests.laying import lay

LAYERS: Mapping[str, Mapping[str, Any]] = {
    "bank-foundation": {"isthmus:layer": "foundation"},
    "bank-platform": {"isthmus:layer": "platform"},
    "bank-investigations": {"isthmus:layer": "serving", "isthmus:serves": ["restricted"]},
    "bank-onboarding": {
        "isthmus:layer": "serving",
        "isthmus:serves": ["confidential-llama-3-1-8b", "internal", "public"],
    },
}
ESTATE = "bank"


def bank_estate(root: Path, layers: Mapping[str, Mapping[str, Any]] = LAYERS) -> Project:
    """The project of an estate `bank` of these stacks, by name what each says of layers."""
    stacks = lay(root)
    for part in ("requirements", "plan"):
        shutil.copy(ROOT / "stacks" / f"{STACK}.{part}.yaml", stacks / f"{ESTATE}.{part}.yaml")
    config = dict(yaml_files.load(ROOT / "stacks" / f"Pulumi.{STACK}.yaml").data["config"])
    yaml_files.dump(config.pop("isthmus:overrides"), "", stacks / f"{ESTATE}.overrides.yaml")
    for name, settings in layers.items():
        yaml_files.dump(
            {"config": {**config, "isthmus:of": ESTATE, **settings}}, "", stacks / f"Pulumi.{name}.yaml"
        )
    return Project(root)


def change_overrides(project: Project, change: Any) -> None:
    """Change the estate's overrides in place."""
    file = project.stacks_dir / f"{ESTATE}.overrides.yaml"
    data = yaml_files.load(file).data
    change(data)
    yaml_files.dump(data, "", file)


def release(overrides: dict[str, Any]) -> None:
    """Another release of the restricted model: weights, engine and its arguments."""
    (model,) = [endpoint for endpoint in overrides["endpoints"] if endpoint["id"].startswith("restricted")]
    model["weights"] |= {"uri": "pvc://qwen3-32b-v2", "volume": "weights-v2", "digest": "sha256:" + "b" * 64}
    model["max_num_seqs"] = 32
    model["engine_args"] = ["--enable-prefix-caching"]
    overrides["images"]["vllm"] = "registry.bank.example/vllm/vllm-openai@sha256:" + "c" * 64


def small_estate(root: Path) -> Project:
    """The bank without its public work, its trail and its own transit gateway: half as much to bring up."""
    project = bank_estate(root)
    stacks = project.stacks_dir
    files = {part: stacks / f"{ESTATE}.{part}.yaml" for part in ("requirements", "plan")}
    expected, plan = (yaml_files.load(file).data for file in files.values())
    expected["workloads"] = [
        workload for workload in expected["workloads"] if workload["sensitivity"] != "public"
    ]
    yaml_files.dump(expected, "", files["requirements"])
    for part, class_ in (("endpoints", "class"), ("gateways", "class"), ("placements", "sensitivity")):
        plan[part] = [row for row in plan[part] if row[class_] != "public"]
    kept = {workload["name"] for workload in expected["workloads"]}
    plan["availability"]["workloads"] = [
        row for row in plan["availability"]["workloads"] if row["workload"] in kept
    ]
    plan["requirements_sha256"] = requirements_document.load(files["requirements"]).digest
    yaml_files.dump(plan, "", files["plan"])
    settings = stacks / "Pulumi.bank-onboarding.yaml"
    data = yaml_files.load(settings).data
    data["config"]["isthmus:serves"] = ["confidential"]
    yaml_files.dump(data, "", settings)

    def less(overrides: dict[str, Any]) -> None:
        overrides |= {
            "trails": [{"name": "frankfurt", "mode": "existing"}],
            "invocation_logging": [{"name": "frankfurt", "mode": "off"}],
            "cost_tags": "existing",
            "budgets": [],
            "anomalies": {"mode": "off"},
        }
        overrides["links"][0] |= {"mode": "existing", "transit_gateway": "tgw-0123456789abcdef0"}
        gateway_ids = [f"{gateway['class']}-{gateway['site']}" for gateway in plan["gateways"]]
        overrides["gateways"] = [
            gateway for gateway in overrides["gateways"] if gateway["name"] in gateway_ids
        ]
        users = overrides["people"]["users"]
        overrides["people"]["users"] = [each for each in users if each["workloads"] != ["campaign-copy"]]

    change_overrides(project, less)
    return project


HOSTED, FETCHED = "internal-qwen3-8b", "confidential-llama-3-1-8b"
PICKER = {"service": "llama-picker", "labels": {"app": "llama-picker"}}
ROUTER = {
    **{"gateway_class": "istio", "service": "confidential-router-istio", "ca": "internal-ca"},
    **{"control_namespace": "istio-system", "control_port": 15012},
}
STORE = {"endpoint": "https://s3.fra1.bank.example:9000", "address": "10.40.3.10", "credentials_secret": "s3"}
S3 = {
    **{"uri": "s3://models/llama-8b/v1", "digest": "sha256:" + "b" * 64, "volume": None},
    **{"store": STORE, "cache": {"storage_class": "shared"}},
}
MORE: dict[str, Any] = {
    "people": {
        "members": [
            {"name": "ops", "role": "platform", "groups": ["oidc:ops"], "permission_sets": ["LlmOps"]},
            {"name": "audit", "role": "auditor", "groups": ["oidc:audit"], "permission_sets": ["LlmAudit"]},
            {"name": "kyc", "role": "model-owner", "groups": ["oidc:kyc"], "classes": ["confidential"]},
        ]
    },
    "gateways": [
        {"name": "confidential-fra1", "router": ROUTER},
        {"name": "internal-fra1", "workloads": [{"name": "policy-assistant", "overflow": [HOSTED]}]},
    ],
    "networks": [
        {
            "name": "frankfurt",
            "services": ["bedrock-runtime", "rolesanywhere", "s3", "sagemaker.runtime"],
        }
    ],
    "identities": [{"name": "internal-frankfurt", "endpoints": ["internal-claude-haiku-4-5", HOSTED]}],
    "images": {
        "sagemaker": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/vllm@sha256:" + "a" * 64,
    },
    "endpoints": [
        {"id": FETCHED, "weights": S3, "picker": PICKER},
        {
            **{"id": HOSTED, "class": "internal", "site": "frankfurt", "target": "sagemaker"},
            **{"model": "Qwen/Qwen3-8B", "precision": "bf16", "replicas": 2, "gpus": 2},
            "weights": {"uri": "s3://bank-weights/qwen3-8b/", "digest": "sha256:" + "d" * 64},
            "sagemaker": {"instance_type": "ml.g6e.2xlarge"},
            # The workload that overflows to it has a budget in USD.
            "cost": {
                "usd_per_million_tokens": {"prompt": 0.4, "completion": 1.2},
                **{"source": "made up for tests", "as_of": "2026-12-01"},
            },
        },
    ],
}
"""What a bank has besides: people, a router with a picker, weights that a job fetches, a model on SageMaker."""


def with_more(project: Project) -> Project:
    """A small estate with all of `MORE`, which the stack of the confidential model serves."""
    change_overrides(project, lambda overrides: overrides.update(overriding.merge(overrides, MORE)))
    settings = project.stacks_dir / "Pulumi.bank-onboarding.yaml"
    data = yaml_files.load(settings).data
    data["config"]["isthmus:serves"] = ["confidential", HOSTED]
    yaml_files.dump(data, "", settings)
    return project


def into_layers(root: Path, name: str, serving: Mapping[str, Sequence[str] | None]) -> Project:
    """The project at `root`, whose stack `name` becomes an estate of that name: `serving` by stack, what it serves."""
    stacks = Project(root).stacks_dir
    file = stacks / f"Pulumi.{name}.yaml"
    config = dict(yaml_files.load(file).data["config"])
    yaml_files.dump(config.pop("isthmus:overrides"), "", stacks / f"{name}{OVERRIDES}")
    file.unlink()
    settings_by_stack: dict[str, dict[str, Any]] = {
        f"{name}-{layer}": {"isthmus:layer": layer} for layer in ("foundation", "platform")
    }
    for stack, serves in serving.items():
        settings_by_stack[stack] = {
            "isthmus:layer": "serving",
            **({"isthmus:serves": list(serves)} if serves else {}),
        }
    for stack, more in settings_by_stack.items():
        settings = {"config": {**config, "isthmus:of": name, **more}}
        yaml_files.dump(settings, "", stacks / f"Pulumi.{stack}.yaml")
    return Project(root)
