"""Overrides adjust a platform; they may not move the data's boundaries.

`Platform` itself refuses what breaks the default handling. These rules hold the merged platform to the
requirements as well: an override could otherwise give a workload to another class's gateway, say that a
site lies elsewhere, or take back what the organisation made stricter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus.blueprints.template_filters import redacted_besides, retention_days
from isthmus.contracts.reference import handling
from isthmus.core.errors import InputError, Refused, Where

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.requirements.workloads import Review


def check(platform: Platform, requirements: Requirements, file: str) -> None:
    """Raise `Refused` for the first boundary of the requirements that the platform does not keep."""
    for what, path in _broken(platform, requirements):
        raise Refused(
            what,
            where=Where(file, None, f"isthmus:overrides.{path}"),
            fix="Take the override out; what may go where is for requirements and plan to say",
        )
    for workload in requirements.workloads:
        if not any(workload.name == served.name for gate in platform.gateways for served in gate.workloads):
            raise InputError(
                f"no gateway serves workload `{workload.name}` of the requirements",
                where=Where(file, None, "isthmus:overrides.gateways"),
                fix="Take the override out that removes it",
            )


def _broken(platform: Platform, requirements: Requirements) -> list[tuple[str, str]]:
    """What is broken, and the path to it."""
    found: list[tuple[str, str]] = []
    table = handling.stricter_only(requirements.handling)
    for gateway in platform.gateways:
        for served in gateway.workloads:
            path = f"gateways[{gateway.name}].workloads[{served.name}]"
            workload = requirements.workload(served.name)
            if workload is None:
                found.append((f"workload `{served.name}` is not one of the requirements", path))
            elif workload.sensitivity != gateway.class_:
                what = f"{served.name} is {workload.sensitivity}, and this gateway {gateway.class_}"
                found.append((what, path))
            elif sorted(workload.residency or []) != sorted(served.residency):
                what = _differs("residency", served.residency, workload.residency or [])
                found.append((what, f"{path}.residency"))
            elif workload.impact != served.impact:
                found.append((_differs("impact", served.impact, workload.impact), f"{path}.impact"))
            elif workload.review != served.review:
                said = [_said(each) for each in (served.review, workload.review)]
                found.append((_differs("review", *said), f"{path}.review"))
        for each in redacted_besides(gateway.class_, requirements):
            if each not in gateway.redacted:
                what = f"{each} of class {gateway.class_} is redacted by the requirements, and not here"
                found.append((what, f"gateways[{gateway.name}].redacted"))
    for site in platform.sites:
        asked = requirements.site(site.name)
        if asked is None:
            found.append((f"site `{site.name}` is not one of the requirements", f"sites[{site.name}]"))
        elif (site.kind, site.jurisdiction) != (asked.kind, asked.jurisdiction):
            what = _differs(
                "place", f"{site.kind}, {site.jurisdiction}", f"{asked.kind}, {asked.jurisdiction}"
            )
            found.append((what, f"sites[{site.name}]"))
    for endpoint in platform.endpoints:
        names = [
            served.name
            for gateway in platform.gateways
            for served in gateway.workloads
            if endpoint.id in served.reaches
        ]
        why = handling.refusal(
            endpoint.class_, endpoint.target, names, requirements.exceptions, handling=table[endpoint.class_]
        )
        if why:
            found.append((why, f"endpoints[{endpoint.id}].target"))
    for store in platform.audit:
        held = {e.class_ for e in (*platform.endpoints, *platform.gateways) if e.site == store.site}
        least = retention_days(held, requirements)
        if store.retention_days < least:
            what = f"records at {store.site} are kept at least {least} days, and these {store.retention_days}"
            found.append((what, f"audit[{store.name}].retention_days"))
    return found


def _differs(key: str, given: Any, wanted: Any) -> str:
    return f"the {key} is {_text(given)} here and {_text(wanted)} in the requirements"


def _said(review: Review | None) -> list[str]:
    said = review.model_dump(exclude_none=True) if review is not None else {}
    return [f"{key}: {value}" for key, value in said.items()]


def _text(value: Any) -> str:
    return (", ".join(value) if isinstance(value, list) else str(value)) or "none"
