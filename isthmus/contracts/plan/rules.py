"""Does the plan keep to the requirements? Each rule is one small function; `check` runs them in order.

A contradiction or a wrong name is an `InputError` (exit 2). A boundary (handling, residency, what a site
allows, classes apart) or a score below the floor is an `Refused` (exit 1), whoever wrote the plan.
Capacity and survival are in `plan_capacity`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from isthmus.contracts.plan import bedrock_quotas, capacity_rules
from isthmus.contracts.plan.document import Plan, PlannedEndpoint
from isthmus.contracts.reference import handling, inference_profiles, jurisdictions
from isthmus.contracts.requirements.document import AwsSite, OnPremSite, Requirements, Workload
from isthmus.contracts.vocabulary import ON_PREM_TARGETS, SENSITIVITIES, VLLM_TARGETS, Sensitivity
from isthmus.core.errors import FieldError, InputError, IsthmusError, Refused
from isthmus.core.validation_errors import did_you_mean
from isthmus.core.yaml_documents import Document

Check = Callable[[Plan, Requirements], None]


def check(plan: Plan, requirements: Requirements) -> None:
    """Raise the first fault of the plan, with its place in the plan's file where it was read from one."""
    document = plan._document or Document(plan.model_dump(by_alias=True), "plan")
    for rule in CHECKS:
        try:
            rule(plan, requirements)
        except FieldError as error:
            kind = Refused if error.refused else InputError
            raise kind(error.what, where=document.where(error.path), fix=error.fix) from None


def made_from_these_requirements(plan: Plan, requirements: Requirements) -> None:
    """The plan names the digest of the requirements at hand."""
    if plan.requirements_sha256 != requirements.digest:
        file = (plan._document and plan._document.file) or "PLAN"
        stack = file.removesuffix(".plan.yaml")
        beside = f"{stack}.requirements.yaml" if stack != file else "REQUIREMENTS"
        raise FieldError(
            f"the plan was made from other requirements (theirs {plan.requirements_sha256[:12]}…, "
            f"these {requirements.digest[:12]}…)",
            "requirements_sha256",
            fix=f"Make it anew with `isthmus plan {beside} -o {file}`, and review what that says has moved",
        )


def feasible(plan: Plan, requirements: Requirements) -> None:
    """An infeasible plan is an answer, not something to build."""
    if not plan.feasible:
        why = "; ".join(plan.conflicts) or "it names no conflict"
        raise FieldError(
            f"the plan is infeasible: {why}",
            "feasible",
            fix="; ".join(way.what for way in plan.ways_out),
            refused=True,
        )


def names_are_unique(plan: Plan, requirements: Requirements) -> None:
    """One endpoint an id; one gateway a class and site."""
    from isthmus.core.uniqueness import unique

    unique(plan.endpoints, "id", "endpoints")
    seen: set[tuple[str, str]] = set()
    for index, gateway in enumerate(plan.gateways):
        if (gateway.class_, gateway.site) in seen:
            raise FieldError(
                f"two gateways for {gateway.class_} at {gateway.site}", "gateways", index, fix="Keep one"
            )
        seen.add((gateway.class_, gateway.site))


def names_exist(plan: Plan, requirements: Requirements) -> None:
    """Sites, workloads and endpoints that the plan names are there."""
    sites = [site.name for site in requirements.sites]
    workloads = [workload.name for workload in requirements.workloads]
    endpoints = [endpoint.id for endpoint in plan.endpoints]
    for index, endpoint in enumerate(plan.endpoints):
        _known(endpoint.site, sites, "site", "endpoints", index, "site")
    for index, gateway in enumerate(plan.gateways):
        _known(gateway.site, sites, "site", "gateways", index, "site")
    for index, placement in enumerate(plan.placements):
        _known(placement.workload, workloads, "workload of the requirements", "placements", index, "workload")
        _known(placement.endpoint, endpoints, "endpoint of the plan", "placements", index, "endpoint")


def every_workload_is_placed(plan: Plan, requirements: Requirements) -> None:
    """Each workload has one primary endpoint and shares that sum to 1; each endpoint serves someone."""
    for workload in requirements.workloads:
        mine = [placement for placement in plan.placements if placement.workload == workload.name]
        primaries = [placement for placement in mine if placement.role == "primary"]
        if len(primaries) != 1:
            count = "no" if not primaries else "more than one"
            raise FieldError(
                f"workload `{workload.name}` has {count} primary placement", "placements", fix="Give it one"
            )
        total = sum(placement.share for placement in mine)
        if abs(total - 1) > 1e-6:
            index = plan.placements.index(primaries[0])
            what = f"the shares of workload `{workload.name}` sum to {total:g}, not 1"
            raise FieldError(what, "placements", index, "share")
    used = {placement.endpoint for placement in plan.placements}
    for index, endpoint in enumerate(plan.endpoints):
        if endpoint.id not in used:
            raise FieldError(
                f"endpoint `{endpoint.id}` serves no workload", "endpoints", index, fix="Take it out"
            )


def handling_is_kept(plan: Plan, requirements: Requirements) -> None:
    """No class runs where its handling forbids, by the requirements' word on it, not the plan's."""
    table = handling.stricter_only(requirements.handling)
    for index, endpoint in enumerate(plan.endpoints):
        served = served_by(plan, requirements, endpoint.id)
        classes: list[Sensitivity] = [endpoint.class_, *(workload.sensitivity for workload in served)]
        for class_ in sorted(set(classes), key=SENSITIVITIES.index, reverse=True):
            names = [workload.name for workload in served if workload.sensitivity == class_]
            why = handling.refusal(
                class_, endpoint.target, names, requirements.exceptions, handling=table[class_]
            )
            if why:
                whose = f" (workload {', '.join(names)})" if names else ""
                raise FieldError(
                    f"{why}{whose}",
                    *("endpoints", index, "target"),
                    fix="Place it on an endpoint that its class may use",
                    refused=True,
                )


def targets_fit_sites(plan: Plan, requirements: Requirements) -> None:
    """On-prem targets at on-prem sites, cloud targets where the AWS site allows them."""
    service = {"eks-vllm": "eks", "sagemaker": "sagemaker", "bedrock": "bedrock"}
    for index, endpoint in enumerate(plan.endpoints):
        site = requirements.site(endpoint.site)
        path = ("endpoints", index)
        if isinstance(site, OnPremSite):
            if endpoint.target not in ON_PREM_TARGETS:
                raise FieldError(
                    f"{endpoint.target} does not run at the on-prem site {site.name}", *path, "target"
                )
            continue
        if not isinstance(site, AwsSite):
            continue
        if endpoint.target in ON_PREM_TARGETS:
            raise FieldError(f"{endpoint.target} does not run at the AWS site {site.name}", *path, "target")
        if service[endpoint.target] not in site.allow:
            allowed = ", ".join(site.allow) or "nothing"
            what = f"site {site.name} does not allow {service[endpoint.target]}; it allows {allowed}"
            raise FieldError(what, *path, "target", refused=True)
        if endpoint.region not in (None, site.region):
            what = f"the endpoint is in {endpoint.region}, and its site {site.name} in {site.region}"
            raise FieldError(what, *path, "region")


def classes_stay_apart(plan: Plan, requirements: Requirements) -> None:
    """The placement's class is the requirements', and the endpoint's: an endpoint serves one class."""
    for index, placement in enumerate(plan.placements):
        workload = requirements.workload(placement.workload)
        endpoint = plan.endpoint(placement.endpoint)
        if workload is None or endpoint is None:
            continue
        if placement.sensitivity != workload.sensitivity:
            raise FieldError(
                f"the plan calls workload `{workload.name}` {placement.sensitivity}, "
                f"the requirements {workload.sensitivity}",
                *("placements", index, "sensitivity"),
                fix=f"Say `sensitivity: {workload.sensitivity}`",
            )
        if endpoint.class_ != workload.sensitivity:
            raise FieldError(
                f"{workload.sensitivity} workload `{workload.name}` on endpoint `{endpoint.id}` of class "
                f"{endpoint.class_}: classes share no endpoint",
                *("placements", index, "endpoint"),
                fix=f"Place it on an endpoint of class {workload.sensitivity}",
                refused=True,
            )


def overflow_is_allowed(plan: Plan, requirements: Requirements) -> None:
    """Overflow only where the workload allows it."""
    for index, placement in enumerate(plan.placements):
        workload = requirements.workload(placement.workload)
        if placement.role == "overflow" and workload is not None and not workload.allow_overflow:
            raise FieldError(
                f"workload `{workload.name}` does not allow overflow",
                *("placements", index, "role"),
                fix="Take the placement out, or set `allow_overflow: true` in the requirements",
                refused=True,
            )


def destinations(endpoint: PlannedEndpoint, requirements: Requirements) -> tuple[str, ...]:
    """Every AWS region that an endpoint's requests may reach; none on-prem. Fails closed on the unknown."""
    site = requirements.site(endpoint.site)
    if not isinstance(site, AwsSite):
        return ()
    return inference_profiles.destinations(endpoint.inference_profile, endpoint.region or site.region)


def residency_is_met(plan: Plan, requirements: Requirements) -> None:
    """Every place that a workload's data can reach, gateways included, lies within its residency."""
    for index, endpoint in enumerate(plan.endpoints):
        path = ("endpoints", index, "inference_profile" if endpoint.inference_profile else "site")
        try:
            regions = destinations(endpoint, requirements)
            places = [(region, jurisdictions.of_region(region)) for region in regions]
        except IsthmusError as error:
            raise FieldError(error.what, *path, fix=error.fix, refused=isinstance(error, Refused)) from None
        places += _site_places([endpoint.site], requirements)
        for workload in served_by(plan, requirements, endpoint.id):
            _within(workload, places, path)
    for index, gateway in enumerate(plan.gateways):
        places = _site_places([gateway.site], requirements)
        for workload in requirements.workloads:
            if workload.sensitivity == gateway.class_:
                _within(workload, places, ("gateways", index, "site"))


def profiles_call_their_model(plan: Plan, requirements: Requirements) -> None:
    """An inference profile calls the endpoint's model, and stands on Bedrock only."""
    for index, endpoint in enumerate(plan.endpoints):
        profile = endpoint.inference_profile
        if profile is None:
            continue
        path = ("endpoints", index, "inference_profile")
        if endpoint.target != "bedrock":
            raise FieldError(f"an inference profile on {endpoint.target}", *path, fix="Leave it away")
        if inference_profiles.model_of(profile) != endpoint.model:
            raise FieldError(f"the profile `{profile}` calls another model than `{endpoint.model}`", *path)


def gateways_serve_the_classes(plan: Plan, requirements: Requirements) -> None:
    """A gateway for each class in use, none for others; restricted work enters on-prem."""
    used = {workload.sensitivity for workload in requirements.workloads}
    for class_ in SENSITIVITIES:
        if class_ in used and not any(gateway.class_ == class_ for gateway in plan.gateways):
            raise FieldError(f"there is no gateway for class {class_}", "gateways", fix="Add one")
    for index, gateway in enumerate(plan.gateways):
        if gateway.class_ not in used:
            raise FieldError(
                f"no workload is of class {gateway.class_}", "gateways", index, fix="Take it out"
            )
        if gateway.class_ == "restricted" and not isinstance(requirements.site(gateway.site), OnPremSite):
            what = f"the restricted gateway stands at {gateway.site}, which is not on-prem"
            raise FieldError(what, *("gateways", index, "site"), refused=True)


def private_links_exist(plan: Plan, requirements: Requirements) -> None:
    """Where a class demands a private link, the gateway's and the endpoint's sites have one."""
    table = handling.stricter_only(requirements.handling)
    joined = {frozenset((link.from_, link.to)) for link in requirements.links}
    numbers = {endpoint.id: index for index, endpoint in enumerate(plan.endpoints)}
    for placement in plan.placements:
        endpoint, gateway = plan.endpoint(placement.endpoint), plan.gateway_of(placement.workload)
        if endpoint is None or gateway is None or table[endpoint.class_].path in ("tls", "mutual-tls"):
            continue
        ends = frozenset((gateway.site, endpoint.site))
        if len(ends) == 2 and ends not in joined:
            raise FieldError(
                f"{endpoint.class_} work goes from {gateway.site} to {endpoint.site}, "
                "and no private link joins them",
                *("endpoints", numbers[endpoint.id], "site"),
                fix="Add a link to the requirements, or place the endpoint elsewhere",
                refused=True,
            )


def gateways_stand_at_their_models(plan: Plan, requirements: Requirements) -> None:
    """A model server is reached from a gateway in its own cluster only: its network admits no other."""
    for placement in plan.placements:
        endpoint, gateway = plan.endpoint(placement.endpoint), plan.gateway_of(placement.workload)
        if endpoint is None or gateway is None or endpoint.target not in VLLM_TARGETS:
            continue
        if gateway.site != endpoint.site:
            raise FieldError(
                f"endpoint `{endpoint.id}` is at {endpoint.site}, and the class has no gateway there",
                "gateways",
                fix=f"Add one: {{class: {endpoint.class_}, site: {endpoint.site}, host: …}}",
            )


def models_are_candidates(plan: Plan, requirements: Requirements) -> None:
    """The model is a candidate, its precision scored high enough, its adapters and context there."""
    for index, endpoint in enumerate(plan.endpoints):
        path = ("endpoints", index)
        for workload in served_by(plan, requirements, endpoint.id):
            candidates = {candidate.id: candidate for candidate in workload.model.candidates}
            whose = f"workload `{workload.name}`"
            _known(endpoint.model, list(candidates), f"candidate of {whose}", *path, "model")
            candidate = candidates[endpoint.model]
            score = candidate.scores.get(endpoint.precision)
            if score is None:
                scored = ", ".join(candidate.scores)
                what = f"{whose} has no score for {endpoint.model} at {endpoint.precision}; it has {scored}"
                raise FieldError(what, *path, "precision")
            if score < workload.model.min_score:
                raise FieldError(
                    f"{endpoint.model} at {endpoint.precision} scores {score:g}, and {whose} needs "
                    f"{workload.model.min_score:g}",
                    *(*path, "precision"),
                    refused=True,
                )
            if endpoint.max_model_len is not None and endpoint.max_model_len < workload.model.context_tokens:
                wanted = workload.model.context_tokens
                raise FieldError(f"{whose} needs a context of {wanted} tokens", *path, "max_model_len")
            for adapter in candidate.adapters:
                if not any((a.name, a.rank) == (adapter.name, adapter.rank) for a in endpoint.adapters):
                    what = f"{whose} needs the adapter {adapter.name} of rank {adapter.rank}"
                    raise FieldError(what, *path, "adapters")


def served_by(plan: Plan, requirements: Requirements, endpoint: str) -> list[Workload]:
    """The workloads that are placed on an endpoint, in the requirements' order."""
    names = {placement.workload for placement in plan.placements if placement.endpoint == endpoint}
    return [workload for workload in requirements.workloads if workload.name in names]


def _known(name: str, names: Sequence[str], what: str, *path: str | int) -> None:
    if name not in names:
        hint = f"{did_you_mean(name, names)} Known: {', '.join(names) or 'none'}".strip()
        raise FieldError(f"`{name}` is no {what}", *path, fix=hint)


def _site_places(sites: Iterable[str], requirements: Requirements) -> list[tuple[str, str]]:
    found = [requirements.site(name) for name in sites]
    return [(f"site {site.name}", site.jurisdiction) for site in found if isinstance(site, OnPremSite)]


def _within(workload: Workload, places: list[tuple[str, str]], path: tuple[str | int, ...]) -> None:
    residency = workload.residency or []
    for where, place in places:
        if not jurisdictions.meets(place, residency):
            raise FieldError(
                f"data of workload `{workload.name}` could reach {where} in `{place}`, outside its residency "
                f"({', '.join(residency)})",
                *path,
                fix="Choose a place or a profile that stays within it",
                refused=True,
            )


CHECKS: tuple[Check, ...] = (
    made_from_these_requirements,
    feasible,
    names_are_unique,
    names_exist,
    handling_is_kept,
    targets_fit_sites,
    classes_stay_apart,
    every_workload_is_placed,
    overflow_is_allowed,
    residency_is_met,
    profiles_call_their_model,
    gateways_serve_the_classes,
    private_links_exist,
    gateways_stand_at_their_models,
    models_are_candidates,
    *capacity_rules.CHECKS,
    bedrock_quotas.stated_quotas_suffice,
)
"""In this order: who may go where is answered before how much fits."""
