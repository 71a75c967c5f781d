"""What becomes of the changed documents: table name → label → outcome.

An outcome is `refused at PLACES` (messages may be reworded freely), or a digest of each part of what came out, so
that a difference says where to look.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML

from isthmus.blueprints.offers import offers
from isthmus.cli.previews import as_json
from isthmus.contracts.plan.document import Plan
from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reports.drift import Drift
from isthmus.contracts.reports.preview import DataPaths, Preview
from isthmus.contracts.requirements import document as requirements_of
from isthmus.contracts.requirements.document import Requirements
from isthmus.core import yaml_documents
from isthmus.core.errors import IsthmusError
from isthmus.engine.render.recorder import Resource
from isthmus.graph.data_path.paths import data_paths
from isthmus.graph.resources.resources import Graph
from isthmus.planning import planner
from isthmus.planning.catalogues import gpus, model_config, models
from isthmus.planning.planner import BlueprintOffer
from isthmus.planning.sizing import question, size
from isthmus.reports import plan_page
from isthmus.reports.drift import markdown as drift_markdown
from isthmus.reports.drift import sarif as drift_sarif
from isthmus.reports.drift import text as drift_text
from isthmus.reports.drift import thresholds as drift_thresholds
from isthmus.reports.preview import markdown as preview_markdown
from isthmus.reports.preview import sarif as preview_sarif
from isthmus.reports.preview import text as preview_text
from isthmus.reports.preview import thresholds as preview_thresholds
from isthmus.reports.preview.page import page as preview_page
from policies.evaluation.evaluation import judge
from tests import hosted, private
from tests.blueprints import bank as bank_files
from tests.components import fargate, platforms
from tests.contracts import bank
from tests.planning import test_hardware
from tests.policies import test_fargate_boundaries, test_sealers_in_aws
from tests.reports import drifts, page_previews, plans, previews
from tests.variants.changes import Corpus

M = TypeVar("M", bound=BaseModel)
SAMPLES = Path(__file__).parent / "samples"
ROOT = Path(__file__).resolve().parents[2]
TODAY = "2026-11-25"
"""The day of plans: prices have an age."""
PATH_CHANGES = {
    ":NetworkPolicy": 40, ":ConfigMap": 40, ":Deployment": 15, ":Service": 8, ":SecurityGroupIngressRule": 8,
    ":SecurityGroupEgressRule": 8, "/vpcEndpoint:VpcEndpoint": 12, ":Policy": 8, ":RolePolicy": 10, ":Role": 6,
    ":Guardrail": 8, ":TaskDefinition": 20, ":BucketPolicy": 6, ":Cluster": 6,
}  # fmt: skip
"""Ending of a type → how many changed resources of it are tried for data paths."""
FILES = {"bank-dev": "stacks/Pulumi.bank-dev.yaml"}


def digest(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def digests(parts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {digest(part)}" for name, part in parts.items())


def refusal(error: Exception) -> str:
    """The places that an error names, without its words."""
    if isinstance(error, IsthmusError):
        return (
            f"refused ({error.exit_code}) at {error.where.removeprefix('document').strip() or 'the document'}"
        )
    assert isinstance(error, ValidationError)
    places = {".".join(map(str, problem["loc"])) or "the document" for problem in error.errors()}
    return f"refused at {', '.join(sorted(places))}"


def requirements_corpus() -> Corpus:
    files = [*(ROOT / "stacks").glob("*.requirements.yaml"), *(ROOT / "examples").glob("*.requirements.yaml")]
    reader = YAML(typ="safe", pure=True)
    return Corpus({file.name.partition(".")[0]: reader.load(file.read_text("utf-8")) for file in files})


def read_requirements(data: Any) -> Requirements:
    return requirements_of.parse(yaml_documents.Document(data, "document"))


def checked_requirements() -> Iterator[tuple[str, str]]:
    """Which requirements are accepted."""
    for label, data in requirements_corpus().variants(1500, "requirements"):
        try:
            read_requirements(data)
        except IsthmusError as error:
            yield label, refusal(error)
        else:
            yield label, "accepted"


def plans_of_blueprints() -> Iterator[tuple[str, str]]:
    """The plans of shipped requirements, by the blueprints of the catalogue."""
    return made_plans(requirements_corpus(), offers(), 15)


def plans_on_any_hardware() -> Iterator[tuple[str, str]]:
    """Plans of small loads that may use everything: MIG slices, several nodes, machines and endpoints in AWS."""
    small = test_hardware.small
    documents = {
        "replica": small("replica"),
        "slices": small("replica", mig="allowed"),
        "nodes": small("node", mig="allowed"),
        "domains": small("domain", id="meta-llama/Llama-3.3-70B-Instruct"),
        "cloud": test_hardware.cloud(),
    }
    return made_plans(Corpus(documents), test_hardware.EVERYTHING, 120)


def made_plans(corpus: Corpus, blueprints: Sequence[BlueprintOffer], count: int) -> Iterator[tuple[str, str]]:
    """The plans of the first `count` variants whose requirements are accepted."""
    for label, data in corpus.variants(10 * count, "plans"):
        try:
            requirements = read_requirements(data)
        except IsthmusError:
            continue
        try:
            plan = planner.make_plan(requirements, blueprints, TODAY).plan
        except IsthmusError as error:
            yield label, refusal(error)
        else:
            yield label, digests(decisions(plan))
        count -= 1
        if not count:
            return


def decisions(plan: Plan) -> dict[str, Any]:
    """What a plan decides. Costs have three significant digits, as predictions have."""
    placements = [(placement.workload, placement.endpoint, placement.role) for placement in plan.placements]
    return {
        "blueprint": plan.blueprint,
        "endpoints": [endpoint.model_dump(mode="json") for endpoint in plan.endpoints],
        "placements": placements,
        "gateways": [gateway.model_dump(mode="json") for gateway in plan.gateways],
        "cost": f"{plan.monthly_cost_usd or 0:.3g}",
        "stress": plan.stress and (plan.stress.holds, plan.stress.breaks_first),
        "conflicts": plan.conflicts,
        "alternatives": [alternative.blueprint for alternative in plan.alternatives or []],
    }


def read_architectures() -> Iterator[tuple[str, str]]:
    """What a model's `config.json` says about its parameters and its cache."""
    corpus = Corpus({row["id"]: row["config"] for row in models.rows() if "config" in row})
    for label, config in corpus.variants(600, "configs"):
        try:
            architecture = model_config.architecture(config)
        except IsthmusError as error:
            yield label, refusal(error)
        else:
            yield label, digest(rounded(asdict(architecture)))


SIZES: dict[str, tuple[Any, ...]] = {
    "prompt": (300, 2400, 12000),
    "output": (60, 450, 1200),
    "prompt_p95": (None, None, 16000),
    "output_p95": (None, None, 2000),
    "hit": (0.0, 0.4),
    "precision": (None, None, None, "bf16", "fp8"),
    "tensor_parallel": (None, None, 1, 2, 8),
    "pipeline_parallel": (1, 1, 1, 2),
    "mig": (None,) * 6 + ("3g.40gb",),
    "rate": (None, 0.5, 4.0, 60.0),
    "callers": (None, 8.0, 200.0),
    "ttft_ms": (None, 400.0, 2500.0),
    "tpot_ms": (None, 25.0, 60.0),
    "burst": (1.0, 2.0),
    "max_model_len": (None, None, 16384),
    "max_num_seqs": (None, 16, 256),
    "cache_dtype": ("auto", "fp8"),
    "utilization": (0.9, 0.8),
}
"""The arguments of `isthmus size`, and values to try."""


def answered_sizes(count: int = 250) -> Iterator[tuple[str, str]]:
    """The answers of `isthmus size`, with three significant digits."""
    chooser = random.Random("sizes")
    for _ in range(count):
        model, gpu = chooser.choice(models.ids()), chooser.choice(gpus.ids())
        chosen = {name: chooser.choice(values) for name, values in SIZES.items()}
        if chosen["rate"] is not None:
            chosen["callers"] = None
        stated = ", ".join(f"{name} {value}" for name, value in chosen.items() if value != SIZES[name][0])
        label = f"{model} on {gpu}: {stated}"
        try:
            asked = question.build_question(models.find_model(model), gpus.find(gpu), **chosen)
            answer = size.answer_question(asked)
        except IsthmusError as error:
            yield label, refusal(error)
        else:
            fields = rounded(asdict(answer))
            counts = {name: fields.pop(name) for name in ("fits", "min_gpus", "tensor_parallel")}
            yield label, f"{counts}, {digests(fields)}"


def rounded(value: Any) -> Any:
    """The value with three significant digits: the last ones may depend on the processor."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


def platform_corpus() -> Corpus:
    return Corpus(
        {
            "by-hand": bank.platform_data(),
            "rendered": platforms.bank(),
            "reviewed": platforms.reviewed(platforms.bank()),
            "private": private.data(),
            "private-reviewed": private.reviewed(),
            "bank-dev": plain(bank_files.platform()),
            "fargate": fargate.cloud(),
            "hosted": hosted.platform(),
        }
    )


def checked_platforms() -> Iterator[tuple[str, str]]:
    """Which platforms are accepted."""
    for label, data in platform_corpus().variants(2000, "platforms"):
        try:
            CheckedPlatform.model_validate(data)
        except (ValidationError, IsthmusError) as error:
            yield label, refusal(error)
        else:
            yield label, "accepted"


def plain(model: BaseModel) -> Any:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


def rendered_previews() -> Iterator[tuple[str, str]]:
    """Every form of a preview."""
    corpus = Corpus(
        {
            name: plain(preview)
            for name, preview in {
                "bank": page_previews.bank(),
                "failed": page_previews.failed(),
                "partial": page_previews.partial(),
                "unchanged": page_previews.unchanged(),
            }.items()
        }
    )
    words = [*preview_thresholds.parse([*preview_thresholds.WORDS, "cost>10%"])]
    for label, preview in parsed(corpus, Preview, 250, "previews"):
        forms = {
            "text": preview_text.text([preview]),
            "comment": preview_markdown.comment([preview]),
            "full comment": preview_markdown.full_comment([preview]),
            "page": preview_page.page([preview]),
            "sarif": preview_sarif.log([preview], FILES),
            "json": as_json([preview]),
            "fails for": preview_thresholds.reasons_to_fail([preview], words),
        }
        yield label, digests(forms)


def rendered_drifts() -> Iterator[tuple[str, str]]:
    """Every form of a drift report."""
    corpus = Corpus(
        {
            "found": plain(
                drifts.drift(
                    drifts.drifted(),
                    drifts.drifted("gone"),
                    drifts.drifted("foreign"),
                    drifts.drifted("added"),
                    drifts.EXPECTED,
                    unseen=[drifts.UNSEEN],
                    policy=[drifts.FINDING],
                    data_paths=DataPaths(before=[drifts.path("allowed")], after=[drifts.path()]),
                )
            ),
            "none": plain(drifts.drift()),
            "hostile": plain(drifts.hostile()),
        }
    )
    for label, drift in parsed(corpus, Drift, 200, "drifts"):
        forms = {
            "text": drift_text.text([drift]),
            "comment": drift_markdown.comment([drift]),
            "full comment": drift_markdown.full_comment([drift]),
            "sarif": drift_sarif.log([drift], FILES),
            "fails for": drift_thresholds.reasons_to_fail([drift], drift_thresholds.WORDS),
        }
        yield label, digests(forms)


def plan_pages() -> Iterator[tuple[str, str]]:
    """The page of a plan."""
    requirements = read_requirements(bank_files.requirements_data())
    corpus = Corpus({"full": plans.full(), "infeasible": plans.infeasible()})
    for label, plan in parsed(corpus, Plan, 200, "pages"):
        yield label, digests({"page": plan_page.page(plan, requirements)})


def graph_on_premises() -> tuple[Sequence[Resource], Platform]:
    """The bank: clusters on-premises, and Bedrock."""
    return previews.resources(), bank_files.platform()


def graph_in_a_cloud_cluster() -> tuple[Sequence[Resource], Platform]:
    return test_sealers_in_aws.rendered().resources, test_sealers_in_aws.platform()


def graph_on_fargate() -> tuple[Sequence[Resource], Platform]:
    return test_fargate_boundaries.rendered().resources, test_fargate_boundaries.platform()


GRAPHS = {
    "on_premises": graph_on_premises,
    "in_a_cloud_cluster": graph_in_a_cloud_cluster,
    "on_fargate": graph_on_fargate,
}


def inputs_by_type(resources: Sequence[Resource]) -> dict[str, dict[str, Any]]:
    """Type → name → inputs, with the documents in them as data."""
    by_type: dict[str, dict[str, Any]] = {}
    for resource in resources:
        if resource.made:
            by_type.setdefault(resource.type, {})[resource.name] = unpacked(resource.inputs)
    return by_type


def with_inputs(resources: Sequence[Resource], inputs: dict[tuple[str, str], Any]) -> list[Resource]:
    """The resources, those of these types and names with other inputs."""
    return [
        replace(resource, inputs=packed(inputs[key]))
        if (key := (resource.type, resource.name)) in inputs
        else resource
        for resource in resources
    ]


def found_paths(graph: Callable[[], tuple[Sequence[Resource], Platform]]) -> Iterator[tuple[str, str]]:
    """Data paths, with one resource changed that may decide about them."""
    resources, platform = graph()
    for type_token, inputs_by_name in sorted(inputs_by_type(resources).items()):
        count = next((count for ending, count in PATH_CHANGES.items() if type_token.endswith(ending)), 0)
        for label, inputs in Corpus(inputs_by_name).variants(count, type_token):
            changed = with_inputs(resources, {(type_token, label.partition(": ")[0]): inputs})
            yield f"{type_token} {label}", digest(data_paths(Graph(changed), platform, TODAY))


def found_faults(
    graph: Callable[[], tuple[Sequence[Resource], Platform]], rounds: int = 60, changes_each: int = 10
) -> Iterator[tuple[str, str]]:
    """The policies' findings; many resources are changed at once, since a rule looks at few of them."""
    resources, platform = graph()
    by_type = inputs_by_type(resources)
    corpora = {type_token: Corpus(inputs_by_name) for type_token, inputs_by_name in by_type.items()}
    chooser = random.Random(graph.__name__)
    for number in range(rounds):
        changed: dict[tuple[str, str], Any] = {}
        for _ in range(changes_each):
            type_token = chooser.choice(sorted(by_type))
            name = chooser.choice(sorted(by_type[type_token]))
            change = chooser.choice(list(corpora[type_token].changes(by_type[type_token][name])))
            changed[type_token, name] = change.apply(by_type[type_token][name])
        findings = judge(with_inputs(resources, changed), platform, today=date.fromisoformat(TODAY))
        by_family: dict[str, list[Any]] = {}
        for finding in findings:
            by_family.setdefault(finding.policy.partition("/")[0], []).append(finding)
        names = ", ".join(sorted(f"{type_token.rpartition(':')[2]} {name}" for type_token, name in changed))
        yield f"{number}: {names}", digests(dict(sorted(by_family.items())))


def unpacked(value: Any, key: str = "") -> Any:
    """The value with the JSON and YAML documents in it as data, so that they can be changed inside."""
    if isinstance(value, dict):
        return {name: unpacked(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [unpacked(inner) for inner in value]
    if isinstance(value, str) and value.startswith('{"') and value.endswith("}"):
        return {"JSON": json.loads(value)}
    if isinstance(value, str) and key.endswith(".yaml"):
        return {"YAML": YAML(typ="safe", pure=True).load(value)}
    return value


def packed(value: Any) -> Any:
    """The reverse of `unpacked`. JSON is YAML too."""
    if isinstance(value, dict):
        if value.keys() & {"JSON", "YAML"}:
            return json.dumps(next(iter(value.values())))
        return {name: packed(inner) for name, inner in value.items()}
    return [packed(inner) for inner in value] if isinstance(value, list) else value


def parsed(corpus: Corpus, model: type[M], count: int, seed: str) -> Iterator[tuple[str, M]]:
    """The variants that are valid."""
    for label, data in corpus.variants(count, seed):
        try:
            yield label, model.model_validate(data)
        except ValidationError:
            continue


TABLES: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
    "requirements": checked_requirements,
    "plans_of_blueprints": plans_of_blueprints,
    "plans_on_any_hardware": plans_on_any_hardware,
    "platforms": checked_platforms,
    "previews": rendered_previews,
    "drifts": rendered_drifts,
    "plan_pages": plan_pages,
    **{f"paths_{name}": functools.partial(found_paths, graph) for name, graph in GRAPHS.items()},
    **{f"findings_{name}": functools.partial(found_faults, graph) for name, graph in GRAPHS.items()},
    "architectures": read_architectures,
    "sizes": answered_sizes,
}


def table(name: str) -> dict[str, str]:
    """A table of what the product does now."""
    return dict(TABLES[name]())
