"""Renders a blueprint's Jinja2 template with requirements and plan, and returns the platform as plain data.

Jinja2 writes every value of a template as JSON (`finalize`), so no name, purpose or address can break the YAML or add
a key. The environment is sandboxed, and undefined names are errors. The same input gives the same bytes.
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
    from jinja2 import Environment, TemplateError

    from isthmus.contracts.plan.document import Plan, PlannedEndpoint
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.vocabulary import Buildable


def render(name: str, requirements: Requirements, plan: Plan, folder: Path | None = None) -> dict[str, Any]:
    """The platform of a blueprint, requirements and plan, before overrides. It is not validated.

    Raises `InputError` for an unknown blueprint or an error in the template. Raises `Refused` if the blueprint is not
    made for a class of the plan, or does not build what an endpoint needs.
    """
    from isthmus.core import yaml_files

    blueprint = catalogue.show(name, folder)
    _check_endpoints(blueprint, plan)
    _check_overflow(blueprint, plan)
    return yaml_files.loads(render_text(blueprint, requirements, plan), f"blueprint {name}, rendered").data


def render_text(blueprint: catalogue.Blueprint, requirements: Requirements, plan: Plan) -> str:
    """The rendered template, as YAML."""
    from jinja2 import TemplateError

    template = _environment(blueprint, requirements, plan).from_string(blueprint.body)
    try:
        return template.render(_template_values(blueprint, requirements, plan))
    except IsthmusError:
        raise
    except TemplateError as error:
        raise InputError(
            f"the template does not render: {error}", where=_place_of(blueprint, error)
        ) from error


def _environment(blueprint: catalogue.Blueprint, requirements: Requirements, plan: Plan) -> Environment:
    """The Jinja2 environment with the filters and functions that templates may use."""
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

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
        given=template_filters.keys_with_values,
        product=template_filters.product,
        survive=template_filters.most_survived,
        by_sensitivity=template_filters.by_sensitivity,
    )
    environment.globals.update(_template_functions(requirements, plan))
    return environment


def _template_functions(requirements: Requirements, plan: Plan) -> dict[str, Any]:
    machines = functools.cache(functools.partial(aws_machines.aws_machines, plan, requirements))
    callers = _callers(requirements, plan)
    return {
        "destination_regions": template_filters.destination_regions,
        "guarded": template_filters.guarded,
        "links_in_use": template_filters.links_in_use,
        "node_groups": functools.partial(
            template_filters.node_groups, machines=machines, requirements=requirements
        ),
        "on_machines": functools.partial(template_filters.on_machines, machines=machines),
        "on_node": functools.partial(template_filters.on_node, requirements=requirements),
        "cut_gpus": functools.partial(template_filters.cut_gpus, plan=plan, requirements=requirements),
        "retention_days": functools.partial(template_filters.retention_days, requirements=requirements),
        "redacted": functools.partial(template_filters.redacted, requirements=requirements),
        "redacted_besides": functools.partial(template_filters.redacted_besides, requirements=requirements),
        "names_people": functools.partial(template_filters.names_people, requirements=requirements),
        "pool_name": _pool_name,
        "callers": callers,
        "gateway_copies": lambda gateway: gateway_size.planned_copies(
            workload for workload in requirements.workloads if workload.name in callers(gateway)
        ),
        "asks_for_people": lambda gateway: _needs_reviewers(requirements, callers(gateway)),
        "english_model": ENGLISH_MODEL,
        "languages": functools.partial(template_filters.languages, requirements=requirements),
        "fail": template_filters.fail,
    }


def _template_values(
    blueprint: catalogue.Blueprint, requirements: Requirements, plan: Plan
) -> dict[str, Any]:
    required, planned = requirements.model_dump(by_alias=True), plan.model_dump(by_alias=True)
    for workload in required["workloads"]:
        # The planner may have raised it to reach `slo.availability`.
        workload["survive"] = plan.survive_of(workload["name"], workload["survive"])
    used_sites = {component["site"] for component in (*planned["endpoints"], *planned["gateways"])}
    sites = [site for site in required["sites"] if site["name"] in used_sites]
    return {
        "requirements": required,
        "plan": planned,
        **_lookup_tables(required, planned),
        "blueprint": blueprint.name,
        "sites": sites,
        "on_prem": [site for site in sites if site["kind"] == "on-prem"],
        "aws": [site for site in sites if site["kind"] == "aws"],
    }


def _pool_name(site: str, gpu: str) -> str:
    from isthmus.contracts.plan.document import pool_name

    return pool_name(site, gpu)


def _lookup_tables(required: dict[str, Any], planned: dict[str, Any]) -> dict[str, Any]:
    """Tables that templates use to find placements, workloads and endpoints without a search through whole lists."""
    placements_of: dict[str, list[dict[str, Any]]] = {
        workload["name"]: [] for workload in required["workloads"]
    }
    for placement in planned["placements"]:
        placements_of.setdefault(placement["workload"], []).append(placement)
    workloads_on: dict[str, list[dict[str, Any]]] = {endpoint["id"]: [] for endpoint in planned["endpoints"]}
    for workload in required["workloads"]:
        for id_ in dict.fromkeys(placement["endpoint"] for placement in placements_of[workload["name"]]):
            workloads_on.setdefault(id_, []).append(workload)
    endpoint_of = {endpoint["id"]: endpoint for endpoint in planned["endpoints"]}
    return {"placements_of": placements_of, "workloads_on": workloads_on, "endpoint_of": endpoint_of}


def _callers(requirements: Requirements, plan: Plan) -> Callable[[dict[str, Any]], list[str]]:
    """A function that gives the names of the workloads that call a gateway, in the order of the requirements."""
    callers: dict[tuple[str, str], list[str]] = {}
    for workload in requirements.workloads:
        if (own_gateway := plan.gateway_of(workload.name)) is not None:
            callers.setdefault((own_gateway.class_, own_gateway.site), []).append(workload.name)
    return lambda gateway: callers.get((gateway["class"], gateway["site"]), [])


def _needs_reviewers(requirements: Requirements, names: list[str]) -> bool:
    """Whether the impact or the review of any of these workloads requires that people see its answers."""
    return any(workload.needs_people for workload in requirements.workloads if workload.name in names)


def _quoted(value: Any) -> str:
    from jinja2 import Undefined

    if isinstance(value, Undefined):
        return str(value)  # Raises an error that has the undefined name.
    return template_filters.quoted(value)


def _place_of(blueprint: catalogue.Blueprint, error: TemplateError) -> Where:
    """The file and line of an error, in the blueprint or in a shared part. Jinja2 calls the blueprint `<template>`."""
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


def _check_endpoints(blueprint: catalogue.Blueprint, plan: Plan) -> None:
    for endpoint in plan.endpoints:
        if endpoint.class_ not in blueprint.header.classes:
            raise Refused(
                f"blueprint `{blueprint.name}` is not made for {endpoint.class_} data, but endpoint "
                f"`{endpoint.id}` serves it",
                fix="Choose another blueprint from `isthmus blueprints`. This one is made for: "
                f"{', '.join(blueprint.header.classes)}",
            )
        for ability in needed_abilities(endpoint):
            if ability not in blueprint.header.builds:
                raise Refused(
                    f"blueprint `{blueprint.name}` does not build `{ability}`, but endpoint "
                    f"`{endpoint.id}` needs it",
                    fix="Choose another blueprint from `isthmus blueprints`, or plan again for this one. It builds: "
                    f"{', '.join(blueprint.header.builds)}",
                )


def _check_overflow(blueprint: catalogue.Blueprint, plan: Plan) -> None:
    for placement in plan.placements:
        if placement.role == "overflow" and "overflow" not in blueprint.header.builds:
            raise Refused(
                f"blueprint `{blueprint.name}` does not build `overflow`, but workload `{placement.workload}` needs it",
                fix="Choose another blueprint from `isthmus blueprints`, or plan again for this one",
            )


def needed_abilities(endpoint: PlannedEndpoint) -> list[Buildable]:
    """The values that a blueprint's header must list under `builds` to render the endpoint."""
    abilities: list[Buildable] = [endpoint.target]
    if endpoint.mig_profile:
        abilities.append("mig")
    if (endpoint.nodes_per_replica or 1) > 1:
        abilities.append("several-nodes")
    return abilities
