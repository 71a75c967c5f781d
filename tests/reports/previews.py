"""Previews of the bank without an engine: its rendering, and copies of it with something changed."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from isthmus.contracts.reports.findings import Control, Finding, Silence
from isthmus.contracts.reports.preview import (
    Capacities,
    Change,
    Cost,
    CostItem,
    Costs,
    DataPath,
    DataPaths,
    Diagnostic,
    Hop,
    Op,
    PoolCapacity,
    Preview,
    PropertyChange,
    RuleChange,
)
from isthmus.engine.preview import assembly as preview_assembly
from isthmus.engine.preview import comparison as preview_comparison
from isthmus.engine.preview.assembly import PreviewDraft, Side
from isthmus.engine.preview.changes import counts
from isthmus.engine.render.recorder import Resource
from isthmus.graph.data_path.paths import data_paths
from isthmus.graph.resources.resources import Graph
from policies.evaluation.evaluation import judge
from tests.blueprints import bank

TODAY = "2026-11-26"
STACK = "bank-dev"
COMMIT = "2804418f00a7a2b31f1c4e3f7d9d5c1b2a394857"
BASE = "49ed4f9a00000000000000000000000000000000"


@functools.cache
def resources() -> tuple[Resource, ...]:
    return tuple(bank.rendered().resources)


def edited(
    resources: Sequence[Resource], kind: str, name: str, how: Callable[[dict[str, Any]], object]
) -> list[Resource]:
    """The resources, those of a type and a name changed; there must be one."""
    edited_resources, count = [], 0
    for resource in resources:
        if resource.type.endswith(kind) and resource.name.endswith(name):
            inputs = copy.deepcopy(resource.inputs)
            how(inputs)
            resource, count = replace(resource, inputs=inputs), count + 1
        edited_resources.append(resource)
    assert count, f"no {kind} {name}"
    return edited_resources


def side(resources: Sequence[Resource], plan: dict[str, Any] | None = None) -> Side:
    """What is known of the bank with these resources, by its own plan or another."""
    requirements, own_plan = bank.requirements_and_plan()
    chosen_plan = own_plan if plan is None else own_plan.model_validate_json(json.dumps(plan))
    return Side(chosen_plan, requirements, data_paths(Graph(resources), bank.platform(), TODAY))


def preview(
    after: Sequence[Resource],
    before: Sequence[Resource] | None = None,
    plan: dict[str, Any] | None = None,
    was_planned: dict[str, Any] | None = None,
    **more: Any,
) -> Preview:
    """Of the bank as it is rendered (or `before`), which becomes `after`."""
    before_resources = resources() if before is None else before
    changes = preview_comparison.compare(before_resources, after)
    same: list[Op] = ["same"] * preview_comparison.count_unchanged(before_resources, after, changes)
    parts_of_preview = PreviewDraft(
        STACK,
        baseline="commit",
        base=BASE,
        commit=COMMIT,
        summary=counts([*(change.op for change in changes), *same]),
        changes=changes,
        before=side(before_resources, was_planned),
        after=side(after, plan),
        findings=judge(after, bank.platform(), stack=STACK, today=date.fromisoformat(TODAY)),
    )
    for name, value in more.items():
        setattr(parts_of_preview, name, value)
    return preview_assembly.preview(parts_of_preview)


def replica() -> Preview:
    """One replica more of a model, and what the plan says of it."""
    plan = bank.plan_data()
    (more,) = [
        endpoint for endpoint in plan["endpoints"] if endpoint["id"] == bank.serving("kyc-extraction").id
    ]
    more |= {"replicas": 3, "gpus": 6}
    plan["monthly_cost_usd"] += 1999.39
    (item,) = [
        cost_item for cost_item in plan["cost_items"] if cost_item["what"] == "fra1, h100-sxm-80gb: capital"
    ]
    item["monthly_usd"] += 1999.39
    after = edited(
        resources(), ":Deployment", f"{more['id']}-server", lambda inputs: inputs["spec"].update(replicas=3)
    )
    return preview(after, plan=plan)


def replaced_key() -> Preview:
    return preview(
        edited(resources(), "key:Key", "bank-frankfurt-key", lambda inputs: inputs.update(multiRegion=True))
    )


def deleted_bucket() -> Preview:
    return preview([resource for resource in resources() if resource.name != "bank-frankfurt-bucket"])


def many(number: int = 2000) -> Preview:
    """So many resources whose settings change."""
    changes = [
        Change(
            urn=f"urn:pulumi:{STACK}::isthmus::kubernetes:core/v1:ConfigMap::config-{index:04}",
            op="update",
            type="kubernetes:core/v1:ConfigMap",
            name=f"config-{index:04}",
            component=f"part-{index % 40:02}",
            properties=[PropertyChange(path="metadata.labels.release", old="1", new=f"2-{index}")],
        )
        for index in range(number)
    ]
    return preview(resources(), changes=changes, summary={"update": number})


def slipped_in() -> Preview:
    """A cloud's translator slipped into the restricted gateway's configuration, past every contract."""

    def slip(inputs: dict[str, Any]) -> None:
        text = inputs["data"]["config.yaml"]
        inputs["data"]["config.yaml"] = text.replace(
            "restricted-qwen3-32b.isthmus-restricted.svc", "internal-translator.isthmus-internal.svc"
        )

    return preview(edited(resources(), "v1:ConfigMap", "restricted-gateway-config", slip))


EVIL = (
    "</code></details><script>alert(1)</script> @everyone #1 [x](javascript:alert(1)) ![x](https://evil.example/x.png)"
    " https://evil.example www.evil.example me@evil.example ``` ```` ` | \\| **bold** <!-- --> &lt;b&gt; ~~x~~ \n"
    "# heading\n- list\n> quote\n```\nout of the fence\n~~~\n\u202egnp.exe\u2066\u200b\x1b[31m\x00 :tada: $x$"
)
"""What a reader of markup would do something with."""


def hostile(text: str = EVIL) -> Preview:
    """The same text in every place of a preview that a value can come to."""
    label = "dev"
    hop = Hop(kind="endpoint", name=text, where=text)
    paths = [
        DataPath.model_validate(
            {
                "id": text,
                "workload": text,
                "class": "restricted",
                "hops": [hop],
                "verdict": "refused",
                "why": text,
            }
        )
    ]
    supports = [Control(framework=text, version=text, id=text)]
    texts = {"title": text, "message": text, "why": text, "fix": text, "resource": text, "urn": text}
    silence = Silence(
        policy=text, resource=text, owner=text or "x", reason=text or "x", until=date(2030, 1, 1)
    )
    findings = [
        Finding.model_validate(
            {
                **texts,
                "policy": text,
                "severity": "critical",
                "supports": supports,
                "stack": label,
                "silenced": silence,
            }
        )
        for silence in (None, silence)
    ]
    values = [(text, {text: [text]}), (None, text), (text, None), (f"{text}\n1", f"{text}\n2")]
    changed = [
        PropertyChange(path=text if not at else f"{text}{at}", old=old, new=new, noise=at == 0)
        for at, (old, new) in enumerate(values)
    ]
    names = {"urn": text, "type": text, "name": text, "properties": changed, "stateful": True}
    item = CostItem(what=text, monthly_usd=1, evidence="given", source=text, as_of=text)
    return Preview(
        stack=label,
        status="partial",
        commit=text[:40],
        base=text[:40],
        summary={"delete": 1, "replace": 1, "update": 1},
        changes=[
            Change(op="delete", **names),
            Change(op="replace", component=text, replaces_because=[text], **names),
            Change(op="update", component=text, may_replace=[text], **names),
        ],
        data_paths=DataPaths(before=[], after=paths),
        policy=findings,
        rules=[RuleChange(kind="silence", what=text, old=text, new=text, loosens=True)],
        cost=Costs(before=Cost(monthly_usd=0), after=Cost(monthly_usd=1, items=[item], prices_as_of=text)),
        capacity=Capacities(before=[], after=[PoolCapacity(site=text, pool=text, gpus=1, used=1)]),
        diagnostics=[Diagnostic(severity="error", message=text, urn=text)],
    )
