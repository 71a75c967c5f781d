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
    made: Sequence[Resource], kind: str, name: str, how: Callable[[dict[str, Any]], object]
) -> list[Resource]:
    """The resources, those of a type and a name changed; there must be one."""
    found, count = [], 0
    for each in made:
        if each.type.endswith(kind) and each.name.endswith(name):
            inputs = copy.deepcopy(each.inputs)
            how(inputs)
            each, count = replace(each, inputs=inputs), count + 1
        found.append(each)
    assert count, f"no {kind} {name}"
    return found


def side(made: Sequence[Resource], plan: dict[str, Any] | None = None) -> Side:
    """What is known of the bank with these resources, by its own plan or another."""
    requirements, own = bank.both()
    chosen = own if plan is None else own.model_validate_json(json.dumps(plan))
    return Side(chosen, requirements, data_paths(Graph(made), bank.platform(), TODAY))


def preview(
    after: Sequence[Resource],
    before: Sequence[Resource] | None = None,
    plan: dict[str, Any] | None = None,
    was_planned: dict[str, Any] | None = None,
    **more: Any,
) -> Preview:
    """Of the bank as it is rendered (or `before`), which becomes `after`."""
    was = resources() if before is None else before
    changes = preview_comparison.compare(was, after)
    same: list[Op] = ["same"] * preview_comparison.count_unchanged(was, after, changes)
    parts = PreviewDraft(
        STACK,
        baseline="commit",
        base=BASE,
        commit=COMMIT,
        summary=counts([*(each.op for each in changes), *same]),
        changes=changes,
        before=side(was, was_planned),
        after=side(after, plan),
        findings=judge(after, bank.platform(), stack=STACK, today=date.fromisoformat(TODAY)),
    )
    for name, value in more.items():
        setattr(parts, name, value)
    return preview_assembly.preview(parts)


def replica() -> Preview:
    """One replica more of a model, and what the plan says of it."""
    plan = bank.plan_data()
    (more,) = [each for each in plan["endpoints"] if each["id"] == bank.serving("kyc-extraction").id]
    more |= {"replicas": 3, "gpus": 6}
    plan["monthly_cost_usd"] += 1999.39
    (item,) = [each for each in plan["cost_items"] if each["what"] == "fra1, h100-sxm-80gb: capital"]
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
    return preview([each for each in resources() if each.name != "bank-frankfurt-bucket"])


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
    ways = [
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
    told = {"title": text, "message": text, "why": text, "fix": text, "resource": text, "urn": text}
    silence = Silence(
        policy=text, resource=text, owner=text or "x", reason=text or "x", until=date(2030, 1, 1)
    )
    found = [
        Finding.model_validate(
            {
                **told,
                "policy": text,
                "severity": "critical",
                "supports": supports,
                "stack": label,
                "silenced": by,
            }
        )
        for by in (None, silence)
    ]
    values = [(text, {text: [text]}), (None, text), (text, None), (f"{text}\n1", f"{text}\n2")]
    changed = [
        PropertyChange(path=text if not at else f"{text}{at}", old=old, new=new, noise=at == 0)
        for at, (old, new) in enumerate(values)
    ]
    named = {"urn": text, "type": text, "name": text, "properties": changed, "stateful": True}
    item = CostItem(what=text, monthly_usd=1, evidence="given", source=text, as_of=text)
    return Preview(
        stack=label,
        status="partial",
        commit=text[:40],
        base=text[:40],
        summary={"delete": 1, "replace": 1, "update": 1},
        changes=[
            Change(op="delete", **named),
            Change(op="replace", component=text, replaces_because=[text], **named),
            Change(op="update", component=text, may_replace=[text], **named),
        ],
        data_paths=DataPaths(before=[], after=ways),
        policy=found,
        rules=[RuleChange(kind="silence", what=text, old=text, new=text, loosens=True)],
        cost=Costs(before=Cost(monthly_usd=0), after=Cost(monthly_usd=1, items=[item], prices_as_of=text)),
        capacity=Capacities(before=[], after=[PoolCapacity(site=text, pool=text, gpus=1, used=1)]),
        diagnostics=[Diagnostic(severity="error", message=text, urn=text)],
    )
