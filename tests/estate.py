"""The bank as an estate: its files in a folder of their own, a stack a layer, serving split in two."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isthmus.contracts import yamlfile
from isthmus.engine.project import Project
from tests.catalogue.bank import ROOT, STACK

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
    stacks = root / "stacks"
    ignored = shutil.ignore_patterns("__pycache__", "*bank-dev*")
    shutil.copytree(ROOT / "stacks", stacks, ignore=ignored)
    for name in ("Pulumi.yaml", "images.lock.yaml"):
        shutil.copy(ROOT / name, root)
    for part in ("requirements", "plan"):
        shutil.copy(ROOT / "stacks" / f"{STACK}.{part}.yaml", stacks / f"{ESTATE}.{part}.yaml")
    config = dict(yamlfile.load(ROOT / "stacks" / f"Pulumi.{STACK}.yaml").data["config"])
    yamlfile.dump(config.pop("isthmus:overrides"), "", stacks / f"{ESTATE}.overrides.yaml")
    for name, said in layers.items():
        yamlfile.dump(
            {"config": {**config, "isthmus:of": ESTATE, **said}}, "", stacks / f"Pulumi.{name}.yaml"
        )
    return Project(root)


def change_overrides(project: Project, change: Any) -> None:
    """Change the estate's overrides in place."""
    file = project.stacks_dir / f"{ESTATE}.overrides.yaml"
    data = yamlfile.load(file).data
    change(data)
    yamlfile.dump(data, "", file)


def release(overrides: dict[str, Any]) -> None:
    """Another release of the restricted model: weights, engine and its arguments."""
    (model,) = [each for each in overrides["endpoints"] if each["id"].startswith("restricted")]
    model["weights"] |= {"uri": "pvc://qwen3-32b-v2", "volume": "weights-v2", "digest": "sha256:" + "b" * 64}
    model["max_num_seqs"] = 32
    model["engine_args"] = ["--enable-prefix-caching"]
    overrides["images"]["vllm"] = "registry.bank.example/vllm/vllm-openai@sha256:" + "c" * 64
