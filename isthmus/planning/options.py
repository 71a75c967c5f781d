"""Where each workload could run: every model, precision and place that its demands leave open, and why not the rest.

An option on GPUs says how much of a replica the workload's peak takes at the slow end of the interval; one on an API
what its month costs. Whatever is ruled out is kept with its reason, in the order in which it was tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from isthmus.contracts import handling, jurisdictions
from isthmus.contracts.errors import InputError
from isthmus.contracts.requirements import AwsSite, OnPremSite
from isthmus.planning import bedrock, costs, demand, fits, gateways, models
from isthmus.planning.bedrock import Call
from isthmus.planning.demand import Demand
from isthmus.planning.fits import Fit
from isthmus.planning.memory import Adapter

if TYPE_CHECKING:
    from isthmus.contracts.requirements import Requirements, Workload
    from isthmus.contracts.requirements_sites import Pool
    from isthmus.contracts.words import Sensitivity, Survive

DEGREES = (1, 2, 4, 8, 16)
CONTEXT_STEP = 1024

Dropped = frozenset[tuple[str, str]]
"""Demands that are not held, as (workload or other name, demand): for what stands in the way of a plan."""


@dataclass(frozen=True)
class Column:
    """One endpoint on GPUs that could be: replicas of it are what the program counts."""

    class_: Sensitivity
    site: str
    gpu: str
    model: str
    precision: str
    degree: int
    survive: Survive
    """The largest part whose loss it outlives."""


@dataclass(frozen=True)
class OnGpus:
    """A workload on a column."""

    workload: str
    column: Column
    score: float
    units: float
    """Replicas that its peak takes, without headroom."""


@dataclass(frozen=True)
class OnApi:
    """A workload on an API."""

    workload: str
    site: str
    call: Call
    score: float
    model: str
    """The candidate's own id, which requirements and plan know it by."""
    monthly: float
    """USD for all of its tokens."""
    verified: bool
    """The site states a latency that keeps the goals."""


Option = OnGpus | OnApi


@dataclass
class Options:
    """All options of one set of requirements."""

    by_workload: dict[str, list[Option]] = field(default_factory=dict)
    rejected: dict[str, list[str]] = field(default_factory=dict)
    """Sentences, by workload."""
    fits: dict[tuple[str, str, str, str, str, int], Fit] = field(default_factory=dict)
    """By class, site, gpu, model, precision and degree."""

    def fit(self, column: Column) -> Fit:
        return self.fits[_key(column)]


def _key(column: Column) -> tuple[str, str, str, str, str, int]:
    return column.class_, column.site, column.gpu, column.model, column.precision, column.degree


def find(requirements: Requirements, today: str, dropped: Dropped = frozenset()) -> Options:
    """Every option. Raises `InputError` for a model that no catalogue knows, or a site's price that is none."""
    found = Options()
    for index, workload in enumerate(requirements.workloads):
        found.by_workload[workload.name], found.rejected[workload.name] = [], []
        for number, candidate in enumerate(workload.model.candidates):
            if candidate.id not in models.ids() and bedrock.named(candidate.id) is None:
                _unknown(candidate.id, f"workloads.{index}.model.candidates.{number}.id")
            for precision, score in candidate.scores.items():
                if score < workload.model.min_score and (workload.name, "min_score") not in dropped:
                    found.rejected[workload.name].append(
                        f"{candidate.id} at {precision} scores {score:g}, below the floor of "
                        f"{workload.model.min_score:g}"
                    )
                    continue
                if precision == "api":
                    _on_apis(requirements, workload, candidate.id, score, found, today, dropped)
                else:
                    _on_pools(requirements, workload, candidate.id, precision, score, found, today, dropped)
    return found


def _unknown(id: str, where: str) -> None:
    from isthmus.contracts.explain import did_you_mean

    raise InputError(
        f"the model `{id}` is in no catalogue",
        where=where,
        todo=f"{did_you_mean(id, [*models.ids(), *bedrock.ids()])} Without known layers it cannot be sized".strip(),
    )


def _refused(requirements: Requirements, workload: Workload, target: str, today: str) -> str | None:
    """Why the class may not run there. Handling is never among what is dropped."""
    table = handling.stricter_only(requirements.handling)
    return handling.refusal(
        workload.sensitivity,
        target,  # type: ignore[arg-type]
        [workload.name],
        requirements.exceptions,
        today,
        table[workload.sensitivity],
    )


def _outside(workload: Workload, places: list[tuple[str, str]], dropped: Dropped) -> str | None:
    """The first place outside of the workload's residency."""
    if (workload.name, "residency") in dropped:
        return None
    residency = list(workload.residency or [])
    for where, place in places:
        if not jurisdictions.meets(place, residency):
            return (
                f"its data could reach {where} in `{place}`, outside its residency ({', '.join(residency)})"
            )
    return None


# -- on GPUs


def _on_pools(
    requirements: Requirements,
    workload: Workload,
    id: str,
    precision: str,
    score: float,
    found: Options,
    today: str,
    dropped: Dropped,
) -> None:
    out = found.rejected[workload.name]
    label = f"{id} at {precision}"
    if id not in models.ids():
        out.append(f"{label}: its weights are not to be had")
        return
    model = models.find(id)
    if (why := _licence(model, workload, requirements)) and (workload.name, "licence") not in dropped:
        out.append(f"{label}: {why}")
        return
    if model.context < workload.model.context_tokens and (workload.name, "context_tokens") not in dropped:
        out.append(f"{label} takes {model.context:,} tokens, {workload.model.context_tokens:,} are asked for")
        return
    if why := _refused(requirements, workload, "onprem-vllm", today):
        out.append(f"{label}: {why}")
        return
    for site in requirements.sites:
        if not isinstance(site, OnPremSite):
            continue
        if why := _outside(workload, [(f"site {site.name}", site.jurisdiction)], dropped):
            out.append(f"{label} at {site.name}: {why}")
            continue
        for pool in site.pools:
            price = costs.node(site, pool, requirements.objective.cost_basis)
            if isinstance(price, str):
                out.append(f"{label} on {pool.gpu} at {site.name} has no price: {price}")
                continue
            for degree in DEGREES:
                if degree <= pool.gpus_per_node and model.architecture.heads % degree == 0:
                    _on_pool(
                        requirements, workload, (site, pool), id, precision, degree, score, found, dropped
                    )


def _licence(model: models.Model, workload: Workload, requirements: Requirements) -> str | None:
    """Why the licence rules it out. Whether the user is domiciled in the EU is judged by where the sites are."""
    codes = {code for code, _ in model.excludes}
    if "non-commercial" in codes:
        return f"its licence ({model.licence}) allows no commercial use"
    if "eu-domiciled-multimodal" in codes and any(
        jurisdictions.within(site.jurisdiction, "eu") for site in requirements.sites
    ):
        return f"its licence ({model.licence}) gives no rights to whoever is domiciled in the EU"
    return None


def _on_pool(
    requirements: Requirements,
    workload: Workload,
    where: tuple[OnPremSite, Pool],
    id: str,
    precision: str,
    degree: int,
    score: float,
    found: Options,
    dropped: Dropped,
) -> None:
    site, pool = where
    out = found.rejected[workload.name]
    label = f"{id} at {precision} on {degree} x {pool.gpu} at {site.name}"
    key = (workload.sensitivity, site.name, pool.gpu, id, precision, degree)
    context, adapters = _shared(requirements, workload.sensitivity, id)
    fit = fits.fit(id, pool.gpu, precision, degree, context, adapters)
    if isinstance(fit, str):
        # Smaller degrees that do not fit are no news where a larger one does.
        out.append(f"{label}: {fit}")
        return
    found.fits[key] = fit
    wanted = demand.of(workload)
    ttft = None if (workload.name, "ttft_p95_ms") in dropped else wanted.ttft_ms
    tpot = None if (workload.name, "tpot_p95_ms") in dropped else wanted.tpot_ms
    top = fits.carried(fit, wanted, ttft, tpot)
    if top <= 0:
        out.append(f"{label}: keeps its goals at no load")
        return
    column = Column(workload.sensitivity, site.name, pool.gpu, id, precision, degree, workload.survive)
    found.by_workload[workload.name].append(OnGpus(workload.name, column, score, wanted.rate / top))


def _shared(requirements: Requirements, class_: str, id: str) -> tuple[int, tuple[Adapter, ...]]:
    """The longest context and all adapters of the workloads of a class that might share an endpoint of the model."""
    context, adapters = 0, {}
    for workload in requirements.workloads:
        for candidate in workload.model.candidates:
            if workload.sensitivity == class_ and candidate.id == id:
                context = max(context, workload.model.context_tokens)
                for each in candidate.adapters:
                    adapters[each.name] = Adapter(each.rank, each.size_mib)
    return -(-context // CONTEXT_STEP) * CONTEXT_STEP, tuple(adapters.values())


# -- on an API


def _on_apis(
    requirements: Requirements,
    workload: Workload,
    id: str,
    score: float,
    found: Options,
    today: str,
    dropped: Dropped,
) -> None:
    out = found.rejected[workload.name]
    model = bedrock.named(id)
    if model is None:
        out.append(f"{id}: no API serves it")
        return
    if why := _refused(requirements, workload, "bedrock", today):
        out.append(f"{id} on Bedrock: {why}")
        return
    wanted = demand.of(workload)
    for site in requirements.sites:
        if not isinstance(site, AwsSite):
            continue
        if "bedrock" not in site.allow and (site.name, "allow") not in dropped:
            out.append(f"{id} at {site.name}: the site does not allow bedrock")
            continue
        link, moved = _over_link(requirements, workload, site, wanted)
        if link:
            out.append(f"{id} at {site.name}: {link}")
            continue
        ways = bedrock.calls(model, site.region, site.prices)
        if not ways:
            out.append(f"{id} has no price in {site.region}, or cannot be called from there")
        best: OnApi | None = None
        for call in ways:
            label = f"{call.profile or id} from {site.region}"
            places = [(region, jurisdictions.of_region(region)) for region in call.destinations]
            if why := _outside(workload, places, dropped):
                out.append(f"{label}: {why}")
                continue
            if (
                call.context < workload.model.context_tokens
                and (workload.name, "context_tokens") not in dropped
            ):
                out.append(f"{label} takes {call.context:,} tokens, fewer than are asked for")
                continue
            verified = _latency(site, call, wanted)
            if verified is False and (workload.name, "ttft_p95_ms") not in dropped:
                out.append(f"{label}: by the site's own figures it is slower than the goals")
                continue
            price = call.price
            monthly = (wanted.prompt_tokens * price.input + wanted.output_tokens * price.output) / 1e6
            monthly += wanted.requests * price.request + moved
            option = OnApi(workload.name, site.name, call, score, id, monthly, bool(verified))
            if best is None or option.monthly < best.monthly:
                best = option
        if best is not None:
            found.by_workload[workload.name].append(best)


def _over_link(
    requirements: Requirements, workload: Workload, site: AwsSite, wanted: Demand
) -> tuple[str | None, float]:
    """Why the site cannot be reached as the class demands, and what moving the data there costs in a month."""
    home = gateways.home(requirements, workload.sensitivity)
    if home is None or home == site.name:
        return None, 0.0
    link = costs.link_between(requirements.links, home, site.name)
    table = handling.stricter_only(requirements.handling)
    if link is None:
        if table[workload.sensitivity].path in ("tls", "mutual-tls"):
            return None, 0.0
        return f"{workload.sensitivity} work leaves {home} over a private link only, and there is none", 0.0
    tokens = wanted.prompt_tokens + wanted.output_tokens
    return None, costs.gigabytes(wanted.requests, tokens) * link.usd_per_gb


def _latency(site: AwsSite, call: Call, wanted: Demand) -> bool | None:
    """Whether the site's own evidence keeps the goals; None where it states none (`sites[].latency`).

    Its shape: `{MODEL or PROFILE: {ttft_p95_ms, tpot_p95_ms, as_of, source?}}`. Raises `InputError` for another.
    """
    for name in (call.profile, call.model):
        row = site.latency.get(name) if name else None
        if row is None:
            continue
        told = []
        for key in ("ttft_p95_ms", "tpot_p95_ms"):
            value = row.get(key) if isinstance(row, dict) else None
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise InputError(
                    f"{key} is {value!r}, not a number above 0",
                    where=f"sites[{site.name}].latency.{name}",
                    todo="Say ttft_p95_ms and tpot_p95_ms as measured",
                )
            told.append(float(value))
        ttft, tpot = told
        return (wanted.ttft_ms is None or ttft <= wanted.ttft_ms) and (
            wanted.tpot_ms is None or tpot <= wanted.tpot_ms
        )
    return None
