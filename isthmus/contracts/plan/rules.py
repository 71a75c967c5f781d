"""Checks a plan against its requirements. `check` runs the rules in order.

A contradiction or a wrong name is an `InputError` (exit 2). A broken boundary (handling, residency, site, class) or a
score below the minimum is a `Refused` (exit 1). Rules for capacity are in `capacity_rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from isthmus.contracts.plan import bedrock_quotas, capacity_rules
from isthmus.contracts.plan.document import Plan, PlannedEndpoint
from isthmus.contracts.reference import handling, inference_profiles, jurisdictions
from isthmus.contracts.requirements.document import AwsSite, OnPremSite, Requirements, Workload
from isthmus.contracts.vocabulary import ON_PREM_TARGETS, SENSITIVITIES, VLLM_TARGETS, Sensitivity
from isthmus.core.errors import FieldError, InputError, IsthmusError, Refused
from isthmus.core.validation_errors import known_names
from isthmus.core.yaml_documents import Document

Check = Callable[[Plan, Requirements], None]


def check(plan: Plan, requirements: Requirements, *, to_build: bool = True) -> None:
    """Raise the first fault of the plan, with file and line if it was read from a file.

    With `to_build` false, a what-if passes too, and of an infeasible plan only the digest is checked.
    """
    document = plan._document or Document(plan.model_dump(by_alias=True), "plan")
    rules = CHECKS if to_build else CHECKS_OF_ANY_PLAN if plan.feasible else (digest_matches_requirements,)
    for rule in rules:
        try:
            rule(plan, requirements)
        except FieldError as error:
            kind = Refused if error.refused else InputError
            raise kind(error.what, where=document.where(error.path), fix=error.fix) from None


def is_no_what_if(plan: Plan, requirements: Requirements) -> None:
    """A what-if plan is an answer to a question: nobody asked for its requirements yet."""
    if plan.what_if is not None:
        stack = ((plan._document and plan._document.file) or "PLAN").removesuffix(".plan.yaml")
        raise FieldError(
            f"this plan is a what-if ({plan.what_if.summary}) and cannot be built",
            "what_if",
            fix=f"Make these changes in the requirements, and run `isthmus plan {stack}.requirements.yaml -o "
            f"{stack}.plan.yaml` without --set, --scale-traffic and --from-usage",
            refused=True,
        )


def digest_matches_requirements(plan: Plan, requirements: Requirements) -> None:
    """The plan names the digest of the requirements at hand."""
    if plan.requirements_sha256 != requirements.digest:
        file = (plan._document and plan._document.file) or "PLAN"
        stack = file.removesuffix(".plan.yaml")
        requirements_file = f"{stack}.requirements.yaml" if stack != file else "REQUIREMENTS"
        raise FieldError(
            f"the requirements have changed since the plan was made (digest in the plan: "
            f"{plan.requirements_sha256[:12]}…, of the file: {requirements.digest[:12]}…)",
            "requirements_sha256",
            fix=f"Run `isthmus plan {requirements_file} -o {file}` again, and review the moves that it reports",
        )


def feasible(plan: Plan, requirements: Requirements) -> None:
    """An infeasible plan cannot be built."""
    if not plan.feasible:
        why = "; ".join(plan.conflicts) or "it lists no conflict"
        raise FieldError(
            f"the plan is infeasible: {why}",
            "feasible",
            fix="; ".join(option.what for option in plan.ways_out),
            refused=True,
        )


def names_are_unique(plan: Plan, requirements: Requirements) -> None:
    """One endpoint an id; one gateway a class and site."""
    from isthmus.core.uniqueness import unique

    unique(plan.endpoints, "id", "endpoints")
    class_sites: set[tuple[str, str]] = set()
    for index, gateway in enumerate(plan.gateways):
        if (gateway.class_, gateway.site) in class_sites:
            raise FieldError(
                f"there are two gateways for class {gateway.class_} at {gateway.site}",
                *("gateways", index),
                fix="Remove one of them",
            )
        class_sites.add((gateway.class_, gateway.site))


def names_exist(plan: Plan, requirements: Requirements) -> None:
    """Sites, workloads and endpoints that the plan names are there."""
    sites = [site.name for site in requirements.sites]
    workloads = [workload.name for workload in requirements.workloads]
    endpoints = [endpoint.id for endpoint in plan.endpoints]
    for index, endpoint in enumerate(plan.endpoints):
        _check_name(endpoint.site, sites, "site", "endpoints", index, "site")
    for index, gateway in enumerate(plan.gateways):
        _check_name(gateway.site, sites, "site", "gateways", index, "site")
    for index, placement in enumerate(plan.placements):
        _check_name(
            placement.workload, workloads, "workload of the requirements", "placements", index, "workload"
        )
        _check_name(placement.endpoint, endpoints, "endpoint of the plan", "placements", index, "endpoint")
    for index, entry in enumerate(plan.availability.workloads if plan.availability is not None else []):
        path = ("availability", "workloads", index, "workload")
        _check_name(entry.workload, workloads, "workload of the requirements", *path)


def every_workload_is_placed(plan: Plan, requirements: Requirements) -> None:
    """Each workload has one primary endpoint and shares that sum to 1; each endpoint serves someone."""
    for workload in requirements.workloads:
        placements = [placement for placement in plan.placements if placement.workload == workload.name]
        primaries = [placement for placement in placements if placement.role == "primary"]
        if len(primaries) != 1:
            count = "no" if not primaries else "more than one"
            raise FieldError(
                f"workload `{workload.name}` has {count} primary placement",
                "placements",
                fix="Add exactly one placement with `role: primary`",
            )
        total = sum(placement.share for placement in placements)
        if abs(total - 1) > 1e-6:
            index = plan.placements.index(primaries[0])
            message = f"the shares of workload `{workload.name}` sum to {total:g}, not 1"
            raise FieldError(message, "placements", index, "share", fix="Correct the shares")
    used = {placement.endpoint for placement in plan.placements}
    for index, endpoint in enumerate(plan.endpoints):
        if endpoint.id not in used:
            raise FieldError(
                f"no workload uses endpoint `{endpoint.id}`", "endpoints", index, fix="Remove the endpoint"
            )


def targets_are_allowed(plan: Plan, requirements: Requirements) -> None:
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
                suffix = f" (workload {', '.join(names)})" if names else ""
                raise FieldError(
                    f"{why}{suffix}",
                    *("endpoints", index, "target"),
                    fix="Use an endpoint on a target that the class may use",
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
                    f"target {endpoint.target} is not possible at the on-prem site {site.name}",
                    *path,
                    "target",
                    fix="Set `target: onprem-vllm`, or use an AWS site",
                )
            continue
        if not isinstance(site, AwsSite):
            continue
        if endpoint.target in ON_PREM_TARGETS:
            raise FieldError(
                f"target {endpoint.target} is not possible at the AWS site {site.name}",
                *path,
                "target",
                fix="Use an on-prem site or another target",
            )
        if service[endpoint.target] not in site.allow:
            allowed = ", ".join(site.allow) or "nothing"
            message = f"site {site.name} does not allow {service[endpoint.target]}; it allows {allowed}"
            fix = f"Add {service[endpoint.target]} to `allow` of the site in the requirements, or use another target"
            raise FieldError(message, *path, "target", fix=fix, refused=True)
        if endpoint.region not in (None, site.region):
            message = f"endpoint {endpoint.id} is in {endpoint.region}, but its site {site.name} is in {site.region}"
            raise FieldError(message, *path, "region", fix=f"Set `region: {site.region}`")


def classes_stay_apart(plan: Plan, requirements: Requirements) -> None:
    """The placement's class is the requirements', and the endpoint's: an endpoint serves one class."""
    for index, placement in enumerate(plan.placements):
        workload = requirements.workload(placement.workload)
        endpoint = plan.endpoint(placement.endpoint)
        if workload is None or endpoint is None:
            continue
        if placement.sensitivity != workload.sensitivity:
            raise FieldError(
                f"workload `{workload.name}` is {placement.sensitivity} in the plan, but {workload.sensitivity} in the "
                "requirements",
                *("placements", index, "sensitivity"),
                fix=f"Set `sensitivity: {workload.sensitivity}`",
            )
        if endpoint.class_ != workload.sensitivity:
            raise FieldError(
                f"workload `{workload.name}` of class {workload.sensitivity} is on endpoint `{endpoint.id}` of class "
                f"{endpoint.class_}",
                *("placements", index, "endpoint"),
                fix=f"Use an endpoint of class {workload.sensitivity}: classes never share an endpoint",
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
                fix="Remove the placement, or set `allow_overflow: true` in the requirements",
                refused=True,
            )


def fallback_is_allowed(plan: Plan, requirements: Requirements) -> None:
    """A fallback only where the workload allows it, and never its own endpoint."""
    for index, placement in enumerate(plan.placements):
        workload = requirements.workload(placement.workload)
        if placement.role != "fallback" or workload is None:
            continue
        if not workload.allow_fallback:
            raise FieldError(
                f"workload `{workload.name}` does not allow a fallback",
                *("placements", index, "role"),
                fix="Remove the placement, or set `allow_fallback: true` in the requirements",
                refused=True,
            )
        if any(
            other.endpoint == placement.endpoint and other.role != "fallback"
            for other in plan.placements
            if other.workload == placement.workload
        ):
            raise FieldError(
                f"`{placement.endpoint}` serves workload `{workload.name}` and is its fallback too",
                *("placements", index, "endpoint"),
                fix="Remove the placement, or name another endpoint",
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
            places = [(region, jurisdictions.region_jurisdiction(region)) for region in regions]
        except IsthmusError as error:
            raise FieldError(error.what, *path, fix=error.fix, refused=isinstance(error, Refused)) from None
        places += _jurisdictions_of_sites([endpoint.site], requirements)
        for workload in served_by(plan, requirements, endpoint.id):
            _check_residency(workload, places, path)
    for index, gateway in enumerate(plan.gateways):
        places = _jurisdictions_of_sites([gateway.site], requirements)
        for workload in requirements.workloads:
            if workload.sensitivity == gateway.class_:
                _check_residency(workload, places, ("gateways", index, "site"))


def inference_profiles_match_models(plan: Plan, requirements: Requirements) -> None:
    """An inference profile calls the endpoint's model, and stands on Bedrock only."""
    for index, endpoint in enumerate(plan.endpoints):
        profile = endpoint.inference_profile
        if profile is None:
            continue
        path = ("endpoints", index, "inference_profile")
        if endpoint.target != "bedrock":
            raise FieldError(
                f"endpoint {endpoint.id} is on {endpoint.target}, which does not support inference profiles",
                *path,
                fix="Remove inference_profile",
            )
        if inference_profiles.model_of(profile) != endpoint.model:
            raise FieldError(
                f"the inference profile `{profile}` does not call model `{endpoint.model}`",
                *path,
                fix="Use a profile of that model, or correct `model`",
            )


def gateways_serve_the_classes(plan: Plan, requirements: Requirements) -> None:
    """A gateway for each class in use, none for others; restricted work enters on-prem."""
    used = {workload.sensitivity for workload in requirements.workloads}
    for class_ in SENSITIVITIES:
        if class_ in used and not any(gateway.class_ == class_ for gateway in plan.gateways):
            raise FieldError(
                f"class {class_} has workloads, but no gateway",
                "gateways",
                fix=f"Add `{{class: {class_}, site: …, host: …}}`",
            )
    for index, gateway in enumerate(plan.gateways):
        if gateway.class_ not in used:
            raise FieldError(
                f"no workload has class {gateway.class_}", "gateways", index, fix="Remove the gateway"
            )
        if gateway.class_ == "restricted" and not isinstance(requirements.site(gateway.site), OnPremSite):
            message = f"the restricted gateway is at {gateway.site}, which is not an on-prem site"
            fix = "Set `site` to an on-prem site"
            raise FieldError(message, *("gateways", index, "site"), fix=fix, refused=True)


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
                f"{endpoint.class_} work goes from {gateway.site} to {endpoint.site}, but no private link "
                "joins these sites",
                *("endpoints", numbers[endpoint.id], "site"),
                fix="Add a link to `links` of the requirements, or place the endpoint elsewhere",
                refused=True,
            )


def gateways_are_at_their_models(plan: Plan, requirements: Requirements) -> None:
    """A model server is reached from a gateway in its own cluster only: its network admits no other."""
    for placement in plan.placements:
        endpoint, gateway = plan.endpoint(placement.endpoint), plan.gateway_of(placement.workload)
        if endpoint is None or gateway is None or endpoint.target not in VLLM_TARGETS:
            continue
        if gateway.site != endpoint.site:
            raise FieldError(
                f"endpoint `{endpoint.id}` is at {endpoint.site}, but class {endpoint.class_} has no gateway there",
                "gateways",
                fix=f"Add a gateway: {{class: {endpoint.class_}, site: {endpoint.site}, host: …}}",
            )


def models_are_candidates(plan: Plan, requirements: Requirements) -> None:
    """The model is a candidate, its precision scored high enough, its adapters and context there."""
    for index, endpoint in enumerate(plan.endpoints):
        path = ("endpoints", index)
        for workload in served_by(plan, requirements, endpoint.id):
            candidates = {candidate.id: candidate for candidate in workload.model.candidates}
            label = f"workload `{workload.name}`"
            _check_name(endpoint.model, list(candidates), f"candidate of {label}", *path, "model")
            candidate = candidates[endpoint.model]
            score = candidate.scores.get(endpoint.precision)
            if score is None:
                scored = ", ".join(candidate.scores)
                message = (
                    f"{label} has no score for {endpoint.model} at {endpoint.precision}; it has {scored}"
                )
                raise FieldError(message, *path, "precision", fix=f"Use one of {scored}, or add a score")
            if score < workload.model.min_score:
                raise FieldError(
                    f"{endpoint.model} at {endpoint.precision} scores {score:g}, but {label} needs "
                    f"{workload.model.min_score:g}",
                    *(*path, "precision"),
                    fix="Use another precision or model, or lower min_score",
                    refused=True,
                )
            if endpoint.max_model_len is not None and endpoint.max_model_len < workload.model.context_tokens:
                needed = workload.model.context_tokens
                raise FieldError(
                    f"{label} needs a context of {needed} tokens, but max_model_len is {endpoint.max_model_len}",
                    *path,
                    "max_model_len",
                    fix=f"Set max_model_len to {needed} or more",
                )
            for adapter in candidate.adapters:
                if not any((a.name, a.rank) == (adapter.name, adapter.rank) for a in endpoint.adapters):
                    message = (
                        f"{label} needs adapter {adapter.name} of rank {adapter.rank}, which endpoint "
                        f"{endpoint.id} lacks"
                    )
                    raise FieldError(message, *path, "adapters", fix="Add it to `adapters`")


def served_by(plan: Plan, requirements: Requirements, endpoint: str) -> list[Workload]:
    """The workloads that are placed on an endpoint, in the requirements' order."""
    names = {placement.workload for placement in plan.placements if placement.endpoint == endpoint}
    return [workload for workload in requirements.workloads if workload.name in names]


def _check_name(name: str, names: Sequence[str], kind: str, *path: str | int) -> None:
    if name not in names:
        hint = known_names(name, names)
        raise FieldError(f"there is no {kind} `{name}`", *path, fix=hint)


def _jurisdictions_of_sites(sites: Iterable[str], requirements: Requirements) -> list[tuple[str, str]]:
    sites_found = [requirements.site(name) for name in sites]
    return [(f"site {site.name}", site.jurisdiction) for site in sites_found if isinstance(site, OnPremSite)]


def _check_residency(workload: Workload, places: list[tuple[str, str]], path: tuple[str | int, ...]) -> None:
    residency = workload.residency or []
    for where, place in places:
        if not jurisdictions.meets_residency(place, residency):
            raise FieldError(
                f"data of workload `{workload.name}` could reach {where} in `{place}`, outside its residency "
                f"({', '.join(residency)})",
                *path,
                fix="Use a site, region or inference profile within the residency, or change `residency`",
                refused=True,
            )


CHECKS: tuple[Check, ...] = (
    is_no_what_if,
    digest_matches_requirements,
    feasible,
    names_are_unique,
    names_exist,
    targets_are_allowed,
    targets_fit_sites,
    classes_stay_apart,
    every_workload_is_placed,
    overflow_is_allowed,
    fallback_is_allowed,
    residency_is_met,
    inference_profiles_match_models,
    gateways_serve_the_classes,
    private_links_exist,
    gateways_are_at_their_models,
    models_are_candidates,
    *capacity_rules.CHECKS,
    bedrock_quotas.stated_quotas_suffice,
)
"""Boundaries are checked before capacity."""
CHECKS_OF_ANY_PLAN = tuple(rule for rule in CHECKS if rule not in (is_no_what_if, feasible))
"""Of a plan that is read, and not built."""
