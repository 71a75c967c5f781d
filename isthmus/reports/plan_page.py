"""The page of a plan: one HTML file that an architect brings to a meeting with security and finance.

The page loads nothing: it has no script, font or picture from elsewhere, and its Content-Security-Policy forbids them.
Texts of requirements and plan are untrusted: Jinja2 escapes them, and characters that XML forbids or that change the
direction of text are replaced. The same input gives the same bytes. The template is `plan_page.html.j2`; this module
computes its content.
"""

from __future__ import annotations

import functools
import math
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.contracts.plan.capacity_rules import cut_gpus
from isthmus.contracts.vocabulary import ON_PREM_TARGETS, SENSITIVITIES, SURVIVES
from isthmus.core.errors import FieldError
from isthmus.planning.availability import wording
from isthmus.planning.from_usage.report import describe_outlook
from isthmus.planning.sizing import rounding
from isthmus.reports.format import pages
from isthmus.reports.format.numbers import (
    bar,
    cents,
    counted,
    number,
    per_cent,
    predicted,
    scale,
    signed_cents,
    times,
    usd,
)

if TYPE_CHECKING:
    from jinja2 import Template

    from isthmus.contracts.plan.document import CostItem, Placement, Plan, PlannedEndpoint, Predicted
    from isthmus.contracts.reports.explanation import Explanation
    from isthmus.contracts.reports.measured_traffic import FromUsage
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.requirements.sites import Pool
    from isthmus.contracts.requirements.workloads import Workload

_TARGETS = {
    "onprem-vllm": "on-prem, vLLM",
    "eks-vllm": "AWS EKS, vLLM",
    "sagemaker": "Amazon SageMaker",
    "bedrock": "Amazon Bedrock",
}
_LINKS = {"vpn": "VPN", "direct-connect": "Direct Connect"}


def page(
    plan: Plan,
    requirements: Requirements,
    *,
    explained: Sequence[str] = (),
    age: str = "",
    rejected: Mapping[str, Sequence[str]] | None = None,
    explanation: Explanation | None = None,
    from_usage: FromUsage | None = None,
) -> str:
    """Return the HTML page.

    `explained`: sentences below the decision. `rejected`: options that were ruled out, by workload. `explanation`: the
    reasons, if they were asked for. `from_usage`: what measured usage changes, if it was given.
    """
    rows, loose = figures_by_evidence(plan, requirements)
    text = _template().render(
        plan=plan,
        requirements=requirements,
        explained=list(explained),
        explanation=explanation,
        from_usage=from_usage,
        rejected={name: list(why) for name, why in (rejected or {}).items() if why},
        age=age,
        decision=decision_sentence(plan),
        picture=picture(plan, requirements) if plan.feasible else None,
        placements=ordered_placements(plan),
        outlooks=[Outlook.of(plan, requirements, endpoint) for endpoint in plan.endpoints],
        evidence=rows,
        loose=loose,
        paid=cost_rows(plan),
        routes=functools.partial(serving_regions, requirements),
    )
    return pages.without_forbidden_characters(text.lstrip())


@functools.cache
def _template() -> Template:
    environment = pages.environment()
    environment.filters.update(
        usd=usd,
        number=number,
        predicted=predicted,
        per_cent=per_cent,
        times=times,
        cut=cut,
        share=wording.number,
        cents=cents,
        signed_cents=signed_cents,
    )
    environment.globals.update(
        where=describe_location,
        size=describe_size,
        bar=bar,
        scale=scale,
        counts=counted,
        part=wording.describe_part,
        outlook_sentence=describe_outlook,
    )
    return environment.get_template("plan_page.html.j2")


# Words


def describe_location(endpoint: PlannedEndpoint | None) -> str:
    """Return site, service and region of an endpoint."""
    if endpoint is None:
        return "unknown"
    region = f", {endpoint.region}" if endpoint.region else ""
    return f"{endpoint.site}: {_TARGETS[endpoint.target]}{region}"


def describe_size(endpoint: PlannedEndpoint | None) -> str:
    """Return replicas × GPUs of an endpoint: `2 × 4 h100-sxm-80gb`; `none` for a service without own GPUs."""
    if endpoint is None or not endpoint.gpus:
        return "none"
    gpus_per_replica = (endpoint.tensor_parallel or 1) * (endpoint.nodes_per_replica or 1)
    slices = f" MIG {endpoint.mig_profile} of" if endpoint.mig_profile else ""
    spread = f" over {endpoint.nodes_per_replica} nodes" if (endpoint.nodes_per_replica or 1) > 1 else ""
    bought = " ".join(part for part in (endpoint.instance_type, endpoint.purchase) if part)
    description = f"{endpoint.replicas or 1} × {gpus_per_replica}{slices} {endpoint.gpu or 'GPU'}{spread}"
    return f"{description} ({bought})" if bought else description


def decision_sentence(plan: Plan) -> str:
    """Return in one sentence whether the plan can be built, its cost, its hardware and its sites."""
    if not plan.feasible:
        cheapest = min((option.monthly_cost_usd for option in plan.ways_out), default=None)
        way_out = (
            "no way out is known"
            if cheapest is None
            else f"the cheapest way out costs {usd(cheapest)} a month"
        )
        demands = counted(len(plan.conflicts), "demand") if plan.conflicts else "the demands"
        verb = "cannot be met" if len(plan.conflicts) == 1 else "contradict each other"
        return f"Not feasible with the blueprint {plan.blueprint}: {demands} {verb}, and {way_out}."
    cost = plan.monthly_cost_usd
    money = "at an unknown cost" if cost is None else f"{usd(cost)} a month"
    onprem_ids = {endpoint.id for endpoint in plan.endpoints if endpoint.target in ON_PREM_TARGETS}
    primary = [
        placement.endpoint in onprem_ids for placement in plan.placements if placement.role == "primary"
    ]
    overflowing = sum(
        placement.role == "overflow" and placement.endpoint not in onprem_ids for placement in plan.placements
    )
    overflow_text = f" ({overflowing} overflowing there)" if overflowing else ""
    homes = f"{counted(sum(primary), 'workload')} on-prem and {len(primary) - sum(primary)} in the cloud{overflow_text}"
    return f"Feasible: {money}, {hardware_in_use(plan)} in use, {homes}, by the blueprint {plan.blueprint}."


def hardware_in_use(plan: Plan) -> str:
    """`10 GPUs`, `10 GPUs and 2 MIG slices`."""
    gpus = counted(sum(endpoint.gpus for endpoint in plan.endpoints if not endpoint.mig_profile), "GPU")
    slices = sum(endpoint.gpus for endpoint in plan.endpoints if endpoint.mig_profile)
    return f"{gpus} and {counted(slices, 'MIG slice')}" if slices else gpus


def ordered_placements(plan: Plan) -> list[tuple[Placement, PlannedEndpoint | None]]:
    """Return placements with endpoints: the most sensitive first, the primary of a workload before its overflow."""
    rows = sorted(
        plan.placements,
        key=lambda placement: (
            -SENSITIVITIES.index(placement.sensitivity),
            placement.workload,
            placement.role != "primary",
        ),
    )
    return [(placement, plan.endpoint(placement.endpoint)) for placement in rows]


def region(requirements: Requirements, endpoint: PlannedEndpoint) -> str:
    """Return the AWS region of an endpoint, otherwise that of its site; empty on-prem."""
    return endpoint.region or str(getattr(requirements.site(endpoint.site), "region", ""))


def serving_regions(requirements: Requirements, endpoint: PlannedEndpoint | None) -> list[str]:
    """Return the regions, with countries, that may serve a request of a Bedrock endpoint; empty for other targets."""
    from isthmus.contracts.reference import inference_profiles, jurisdictions
    from isthmus.core.errors import IsthmusError

    if endpoint is None or endpoint.target != "bedrock":
        return []
    profile = endpoint.inference_profile
    if profile and profile.startswith("global."):
        return ["every commercial region", "those to come included"]
    try:
        regions = inference_profiles.destinations(profile, region(requirements, endpoint))
    except IsthmusError:
        return ["not known"]
    countries = jurisdictions.AWS_REGIONS
    return [
        f"{region_name} ({countries[region_name]})" if region_name in countries else region_name
        for region_name in regions
    ]


# Money and goals


def is_counted(item: CostItem) -> bool:
    """Whether a row counts in the total. Idle hardware is shown, but paid elsewhere or not at all."""
    return bool(item.counted) and not item.what.lower().startswith("idle")


def cost_rows(plan: Plan) -> tuple[list[tuple[CostItem, bool]], float] | None:
    """Return the cost items in the plan's order, each with whether it counts, and their total.

    None: the plan has none.
    """
    if not plan.cost_items:
        return None
    rows = [(item, is_counted(item)) for item in plan.cost_items]
    return rows, math.fsum(item.monthly_usd for item, counts_in in rows if counts_in)


@dataclass(frozen=True)
class Outlook:
    """The predictions for an endpoint, and the goals of its workloads."""

    endpoint: PlannedEndpoint
    predicted: Predicted | None
    workloads: list[Workload]
    survive: str
    """The largest failure that one of its workloads must survive."""

    @classmethod
    def of(cls, plan: Plan, requirements: Requirements, endpoint: PlannedEndpoint) -> Outlook:
        names = dict.fromkeys(
            placement.workload for placement in plan.placements if placement.endpoint == endpoint.id
        )
        served = [workload for name in names if (workload := requirements.workload(name)) is not None]
        levels = [plan.survive_of(workload.name, workload.survive) for workload in served]
        survive = max(levels, key=SURVIVES.index, default="none")
        return cls(endpoint, endpoint.predicted, served, survive)

    @property
    def whole_answers(self) -> list[tuple[Workload, tuple[float, float]]]:
        """The workloads whose answers are waited for as a whole, with the interval of that time, milliseconds."""
        intervals = ((workload, whole_answer_ms(self.predicted, workload)) for workload in self.workloads)
        return [(workload, interval) for workload, interval in intervals if interval is not None]

    def goals(self, key: str) -> list[tuple[float, str]]:
        """Return the goals with this name, with the workload if there are several."""
        goals = [(getattr(workload.slo, key), workload.name) for workload in self.workloads]
        several = len(self.workloads) > 1
        return [(value, name if several else "") for value, name in goals if value is not None]


def whole_answer_ms(predicted: Predicted | None, workload: Workload) -> tuple[float, float] | None:
    """Return the interval of the time to the last token of one of the workload's longest answers, milliseconds.

    None where that time is of no interest, as people see the answer grow and no goal asks for it, or is not predicted.
    """
    if predicted is None or not (workload.is_collected or workload.slo.answer_p95_ms is not None):
        return None
    first_token, further = predicted.ttft_interval_ms or [], predicted.tpot_interval_ms or []
    if workload.mode == "batch" or len(first_token) != 2 or len(further) != 2:
        return None
    tokens = workload.traffic.output_tokens.p95
    low, high = (
        rounding.three_digits(rounding.answer_ms(*ends, tokens))
        for ends in zip(first_token, further, strict=True)
    )
    return low, high


def figures_by_evidence(
    plan: Plan, requirements: Requirements
) -> tuple[dict[tuple[str, str, str], list[str]], list[str]]:
    """Return figures by their evidence (kind, source, date), in the plan's order, and figures without a source."""
    from isthmus.contracts.reference import inference_profiles

    figures: dict[tuple[str, str, str], list[str]] = {}
    loose: list[str] = []
    claims = [
        (f"{'predictions' if endpoint.predicted else 'size'} of {endpoint.id}", endpoint.evidence)
        for endpoint in plan.endpoints
    ] + [(f"cost of {item.what}", item.evidence) for item in plan.cost_items or []]
    modes = plan.availability.failure_modes if plan.availability is not None else []
    for figure, basis in claims:
        if basis is None:
            loose.append(figure)
        else:
            key = (basis.kind.replace("-", " "), basis.source, basis.as_of)
            figures.setdefault(key, []).append(figure)
    for mode in modes:
        figures.setdefault((mode.kind, mode.source, mode.as_of), []).append(f"failures of {mode.part}")
    profiles = {(row.profile, row.source_region): row for row in inference_profiles.rows()}
    for endpoint in plan.endpoints:
        row = profiles.get((endpoint.inference_profile or "", region(requirements, endpoint)))
        if row is not None:
            key = ("documented", row.source, row.as_of)
            figures.setdefault(key, []).append(f"where {endpoint.id} may be served")
    return figures, loose


# The picture


@dataclass(frozen=True)
class Box:
    """A rectangle with lines of text."""

    x: int
    y: int
    width: int
    height: int
    lines: list[str]
    class_: str = ""


@dataclass(frozen=True)
class Picture:
    """A diagram with columns of workloads, endpoints by site, and regions that may serve, joined by lines."""

    workloads: dict[str, Box]
    sites: list[Box]
    endpoints: dict[str, Box]
    regions: dict[tuple[str, ...], Box]
    lines: list[tuple[str, str, Box, Box, str]]
    """Kind (primary, overflow, route), class, start, end, and the share of requests if it is below 100 %."""

    @property
    def height(self) -> int:
        boxes = (*self.workloads.values(), *self.sites, *self.regions.values())
        return max(box.y + box.height for box in boxes) + 2


def picture(plan: Plan, requirements: Requirements) -> Picture | None:
    """Draw where each workload runs and where its data may go; None if nothing is placed."""
    rows = [placement for placement, endpoint in ordered_placements(plan) if endpoint is not None]
    if not rows:
        return None
    drawn, y = Picture({}, [], {}, {}, []), 2
    ours_first = sorted(plan.endpoints, key=lambda endpoint: endpoint.target not in ON_PREM_TARGETS)
    for site in dict.fromkeys(endpoint.site for endpoint in ours_first):
        site_lines = _site_lines(plan, requirements, site)
        top = y + 16 + 18 * len(site_lines)
        for endpoint in (endpoint for endpoint in plan.endpoints if endpoint.site == site):
            runs = (
                describe_location(endpoint).partition(": ")[2]
                if endpoint.target == "bedrock"
                else describe_size(endpoint)
            )
            lines = [endpoint.id, f"{endpoint.model.rsplit('/', 1)[-1]}, {endpoint.precision}", runs]
            drawn.endpoints[endpoint.id] = Box(342, top, 326, 70, lines, endpoint.class_)
            top += 80
        drawn.sites.append(Box(330, y, 350, top - y + 2, site_lines))
        y = top + 24
    ends = drawn.endpoints
    served = {endpoint.id: tuple(serving_regions(requirements, endpoint)) for endpoint in plan.endpoints}
    for regions in dict.fromkeys(served[name] for name in sorted(ends, key=lambda name: ends[name].y)):
        pairs = [", ".join(regions[at : at + 2]) for at in range(0, len(regions), 2)]
        heights = [ends[name].y + 35 for name in ends if served[name] == regions]
        if regions:
            middle = sum(heights) // len(heights)
            _add_box(drawn.regions, regions, 740, middle, ["may be served in", *pairs])
    homes = {
        placement.workload: placement for placement in reversed(rows)
    }  # the primary of a workload comes last here, and replaces its overflow
    for name, home in sorted(homes.items(), key=lambda pair: ends[pair[1].endpoint].y):
        lines = [name, home.sensitivity, *_workload_lines(requirements, name)]
        _add_box(drawn.workloads, name, 2, ends[home.endpoint].y + 35, lines, home.sensitivity)
    for placement in rows:
        start, end = drawn.workloads[placement.workload], ends[placement.endpoint]
        share = "" if placement.share == 1 else per_cent(placement.share)
        drawn.lines.append((placement.role, placement.sensitivity, start, end, share))
    for name, regions in served.items():
        if regions:
            drawn.lines.append(("route", ends[name].class_, ends[name], drawn.regions[regions], ""))
    return drawn


def _add_box(
    column: dict[Any, Box], key: Any, x: int, middle: int, lines: list[str], class_: str = ""
) -> None:
    """Place a box as near to its wished height as the box above allows."""
    free = max((box.y + box.height + 14 for box in column.values()), default=2)
    height = 16 + 18 * len(lines)
    width = 260 if class_ else 320
    column[key] = Box(x, max(free, middle - height // 2), width, height, lines, class_)


def _site_lines(plan: Plan, requirements: Requirements, name: str) -> list[str]:
    """Return the lines of a site: its place, its used pools, its gateways and its links."""
    site = requirements.site(name)
    if site is None:
        return [name]
    kind = f"AWS {site.region}" if site.kind == "aws" else "on-prem"
    lines = [f"{name}: {kind}, {site.jurisdiction}"]
    for pool in getattr(site, "pools", []):
        used = sum(
            e.gpus for e in plan.endpoints if (e.site, e.gpu) == (name, pool.gpu) and not e.mig_profile
        )
        cut = _cut_gpu_count(plan, requirements, name, pool)
        if used + cut:
            cut_text = f", {cut} cut" if cut else ""
            lines.append(
                f"{pool.gpu}: {used + cut} of {pool.nodes * pool.gpus_per_node} GPUs in use{cut_text}"
            )
    if gateways := [gateway.class_ for gateway in plan.gateways if gateway.site == name]:
        lines += textwrap.wrap(f"gateways: {', '.join(gateways)}", 44)
    for link in requirements.links:
        if name in (link.from_, link.to):
            other_site = link.to if link.from_ == name else link.from_
            lines.append(
                f"{_LINKS[link.kind]} to {other_site}: {number(link.mbps)} Mbit/s, {number(link.rtt_ms)} ms"
            )
    return lines


def _cut_gpu_count(plan: Plan, requirements: Requirements, site: str, pool: Pool) -> int:
    """Return the GPUs of a pool that are cut into slices; 0 if the slices do not fit, which other checks refuse."""
    try:
        return sum(group.gpus for group in cut_gpus(plan, requirements, site, pool))
    except FieldError:
        return 0


def _workload_lines(requirements: Requirements, name: str) -> list[str]:
    """Return the peak of a workload, and where its data may be."""
    workload = requirements.workload(name)
    if workload is None:
        return []
    within = ", ".join(workload.residency) if workload.residency else "anywhere"
    return [f"{number(workload.traffic.peak_rps)} requests/s at peak", f"data may be: {within}"]


def cut(text: str, room: int) -> str:
    """Cut a text to the width, with a generous estimate of the width of letters at 14 pixels."""
    left = room / 7.4
    for index, letter in enumerate(text):
        left -= 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if left < 0:
            return f"{text[: max(index - 1, 0)]}…"
    return text
