"""Render a blueprint: Jinja2 over requirements and plan, giving the platform as plain data.

Every value that a template emits becomes JSON on its way out (`finalize`), so no name, purpose or
address can break the YAML or add a key, whoever writes the template. The environment is sandboxed and
undefined names are errors. The same input gives the same bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.blueprints import catalogue, template_filters
from isthmus.contracts.plan import aws_machines
from isthmus.contracts.platform.lookups import gateway_size
from isthmus.contracts.platform.model.screening import ENGLISH_MODEL
from isthmus.core.errors import InputError, IsthmusError, Refused, Where

if TYPE_CHECKING:
    from jinja2 import TemplateError

    from isthmus.contracts.plan.document import Plan, PlannedEndpoint
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.vocabulary import Buildable


def render(name: str, requirements: Requirements, plan: Plan, folder: Path | None = None) -> dict[str, Any]:
    """The platform that a blueprint makes of requirements and plan, before overrides; not validated.

    Raises `InputError` for an unknown blueprint or a fault in the template, `Refused` where the
    blueprint is not made for a class of the plan, or does not build what an endpoint needs.
    """
    from isthmus.core import yaml_files

    blueprint = catalogue.show(name, folder)
    _covers(blueprint, plan)
    _overflows(blueprint, plan)
    return yaml_files.loads(text(blueprint, requirements, plan), f"blueprint {name}, rendered").data


def text(blueprint: catalogue.Blueprint, requirements: Requirements, plan: Plan) -> str:
    """The rendered template, as YAML."""
    from jinja2 import FileSystemLoader, StrictUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    machines = functools.cache(functools.partial(aws_machines.aws_machines, plan, requirements))
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(
            [blueprint.folder.parent / catalogue.PARTS, catalogue.FOLDER / catalogue.PARTS]
        ),
        undefined=StrictUndefined,
        autoescape=False,
        finalize=_quoted,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        given=template_filters.given,
        product=template_filters.product,
        survive=template_filters.most_survived,
        by_sensitivity=template_filters.by_sensitivity,
    )
    callers = _callers(requirements, plan)
    environment.globals.update(
        destination_regions=template_filters.destination_regions,
        guarded=template_filters.guarded,
        links_in_use=template_filters.links_in_use,
        node_groups=functools.partial(
            template_filters.node_groups, machines=machines, requirements=requirements
        ),
        on_machines=functools.partial(template_filters.on_machines, machines=machines),
        on_node=functools.partial(template_filters.on_node, requirements=requirements),
        cut_gpus=functools.partial(template_filters.cut_gpus, plan=plan, requirements=requirements),
        retention_days=functools.partial(template_filters.retention_days, requirements=requirements),
        redacted=functools.partial(template_filters.redacted, requirements=requirements),
        redacted_besides=functools.partial(template_filters.redacted_besides, requirements=requirements),
        pool_name=_pool_name,
        callers=callers,
        gateway_copies=lambda gateway: gateway_size.planned_copies(
            workload for workload in requirements.workloads if workload.name in callers(gateway)
        ),
        asks_for_people=lambda gateway: _asks_for_people(requirements, callers(gateway)),
        english_model=ENGLISH_MODEL,
        fail=template_filters.fail,
    )
    wanted, planned = requirements.model_dump(by_alias=True), plan.model_dump(by_alias=True)
    used = {each["site"] for each in (*planned["endpoints"], *planned["gateways"])}
    sites = [site for site in wanted["sites"] if site["name"] in used]
    values = {
        "requirements": wanted,
        "plan": planned,
        **_by_name(wanted, planned),
        "blueprint": blueprint.name,
        "sites": sites,
        "on_prem": [site for site in sites if site["kind"] == "on-prem"],
        "aws": [site for site in sites if site["kind"] == "aws"],
    }
    try:
        return environment.from_string(blueprint.body).render(values)
    except IsthmusError:
        raise
    except TemplateError as error:
        raise InputError(f"the template does not render: {error}", where=_where(blueprint, error)) from error


def _pool_name(site: str, gpu: str) -> str:
    from isthmus.contracts.plan.document import pool_name

    return pool_name(site, gpu)


def _by_name(wanted: dict[str, Any], planned: dict[str, Any]) -> dict[str, Any]:
    """What templates ask for each workload or endpoint, found once: filters over whole lists take quadratic time."""
    placed: dict[str, list[dict[str, Any]]] = {each["name"]: [] for each in wanted["workloads"]}
    for placement in planned["placements"]:
        placed.setdefault(placement["workload"], []).append(placement)
    served: dict[str, list[dict[str, Any]]] = {each["id"]: [] for each in planned["endpoints"]}
    for workload in wanted["workloads"]:
        for id_ in dict.fromkeys(placement["endpoint"] for placement in placed[workload["name"]]):
            served.setdefault(id_, []).append(workload)
    endpoints = {each["id"]: each for each in planned["endpoints"]}
    return {"placements_of": placed, "workloads_on": served, "endpoint_of": endpoints}


def _callers(requirements: Requirements, plan: Plan) -> Callable[[dict[str, Any]], list[str]]:
    """Gives the workloads whose applications call a gateway, in the requirements' order."""
    found: dict[tuple[str, str], list[str]] = {}
    for workload in requirements.workloads:
        if (mine := plan.gateway_of(workload.name)) is not None:
            found.setdefault((mine.class_, mine.site), []).append(workload.name)
    return lambda gateway: found.get((gateway["class"], gateway["site"]), [])


def _asks_for_people(requirements: Requirements, names: list[str]) -> bool:
    """Whether impact or its own review asks for people to see answers of any of these workloads."""
    mine = [each for each in requirements.workloads if each.name in names]
    return any(each.review is not None or each.impact != "low" for each in mine)


def _quoted(value: Any) -> str:
    from jinja2 import Undefined

    if isinstance(value, Undefined):
        return str(value)  # raises, with the name that is undefined
    return template_filters.quoted(value)


def _where(blueprint: catalogue.Blueprint, error: TemplateError) -> Where:
    """The line on which an error arose: of the blueprint, whose frames Jinja2 names `<template>`, or of a part."""
    path, line = getattr(error, "filename", None) or "<template>", getattr(error, "lineno", None)
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name == "<template>" or name.endswith(".yaml.j2"):
            path, line = name, trace.tb_lineno
        trace = trace.tb_next
    if path != "<template>":
        return Where(path, line)
    return Where(str(blueprint.template), line and line + blueprint.body_line - 1)


def _covers(blueprint: catalogue.Blueprint, plan: Plan) -> None:
    for endpoint in plan.endpoints:
        if endpoint.class_ not in blueprint.header.classes:
            raise Refused(
                f"blueprint `{blueprint.name}` is not made for {endpoint.class_} data, and endpoint "
                f"`{endpoint.id}` serves it",
                fix=f"It is made for: {', '.join(blueprint.header.classes)}. Choose another with "
                "`isthmus blueprints`",
            )
        for needed in needs(endpoint):
            if needed not in blueprint.header.builds:
                raise Refused(
                    f"blueprint `{blueprint.name}` does not build `{needed}`, and endpoint "
                    f"`{endpoint.id}` needs it",
                    fix=f"It builds: {', '.join(blueprint.header.builds)}. Choose another with "
                    "`isthmus blueprints`, or plan anew for this one",
                )


def _overflows(blueprint: catalogue.Blueprint, plan: Plan) -> None:
    for placement in plan.placements:
        if placement.role == "overflow" and "overflow" not in blueprint.header.builds:
            raise Refused(
                f"blueprint `{blueprint.name}` lets nothing overflow, and workload `{placement.workload}` does",
                fix="Choose another with `isthmus blueprints`, or plan anew for this one",
            )


def needs(endpoint: PlannedEndpoint) -> list[Buildable]:
    """What a blueprint's header must list under `builds` for it to render the endpoint."""
    needed: list[Buildable] = [endpoint.target]
    if endpoint.mig_profile:
        needed.append("mig")
    if (endpoint.nodes_per_replica or 1) > 1:
        needed.append("several-nodes")
    return needed
