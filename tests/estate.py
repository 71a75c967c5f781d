"""The bank as an estate: its files in a folder of their own, a stack a layer, serving split in two."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isthmus.catalogue.estates import OVERRIDES
from isthmus.contracts import requirements, yamlfile
from isthmus.engine.project import Project
from tests.catalogue.bank import ROOT, STACK
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


def small_estate(root: Path) -> Project:
    """The bank without its public work, its trail and its own transit gateway: half as much to bring up."""
    project = bank_estate(root)
    stacks = project.stacks_dir
    files = {part: stacks / f"{ESTATE}.{part}.yaml" for part in ("requirements", "plan")}
    wanted, plan = (yamlfile.load(file).data for file in files.values())
    wanted["workloads"] = [each for each in wanted["workloads"] if each["sensitivity"] != "public"]
    yamlfile.dump(wanted, "", files["requirements"])
    for part, class_ in (("endpoints", "class"), ("gateways", "class"), ("placements", "sensitivity")):
        plan[part] = [each for each in plan[part] if each[class_] != "public"]
    plan["requirements_sha256"] = requirements.load(files["requirements"]).digest
    yamlfile.dump(plan, "", files["plan"])
    settings = stacks / "Pulumi.bank-onboarding.yaml"
    said = yamlfile.load(settings).data
    said["config"]["isthmus:serves"] = ["confidential"]
    yamlfile.dump(said, "", settings)

    def less(overrides: dict[str, Any]) -> None:
        overrides |= {
            "trails": [{"name": "frankfurt", "mode": "existing"}],
            "invocation_logging": [{"name": "frankfurt", "mode": "off"}],
            "cost_tags": "existing",
            "budgets": [],
            "anomalies": {"mode": "off"},
        }
        overrides["links"][0] |= {"mode": "existing", "transit_gateway": "tgw-0123456789abcdef0"}

    change_overrides(project, less)
    return project


def into_layers(root: Path, name: str, serving: Mapping[str, Sequence[str] | None]) -> Project:
    """The project at `root`, whose stack `name` becomes an estate of that name: `serving` by stack, what it serves."""
    stacks = Project(root).stacks_dir
    file = stacks / f"Pulumi.{name}.yaml"
    config = dict(yamlfile.load(file).data["config"])
    yamlfile.dump(config.pop("isthmus:overrides"), "", stacks / f"{name}{OVERRIDES}")
    file.unlink()
    said: dict[str, dict[str, Any]] = {
        f"{name}-{layer}": {"isthmus:layer": layer} for layer in ("foundation", "platform")
    }
    for stack, serves in serving.items():
        said[stack] = {"isthmus:layer": "serving", **({"isthmus:serves": list(serves)} if serves else {})}
    for stack, more in said.items():
        settings = {"config": {**config, "isthmus:of": name, **more}}
        yamlfile.dump(settings, "", stacks / f"Pulumi.{stack}.yaml")
    return Project(root)
