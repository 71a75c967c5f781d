"""Refuses overrides that break the boundaries of the requirements.

`Platform` refuses what breaks the default handling. These rules also compare the merged platform with the
requirements. Otherwise an override could move a workload to a gateway of another class, change the jurisdiction of a
site, or relax what the organisation made stricter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus.blueprints.template_filters import redacted_besides, retention_days
from isthmus.contracts.platform.lookups.chat import history_days_of
from isthmus.contracts.platform.lookups.usage import named_workloads
from isthmus.contracts.reference import handling
from isthmus.core.errors import InputError, Refused, Where

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Gateway, Platform
    from isthmus.contracts.requirements.document import Requirements
    from isthmus.contracts.requirements.workloads import Review


def check(platform: Platform, requirements: Requirements, file: str) -> None:
    """Raise `Refused` for the first boundary of the requirements that the platform breaks."""
    for problem, path in _violations(platform, requirements):
        raise Refused(
            problem,
            where=Where(file, None, f"isthmus:overrides.{path}"),
            fix="Remove the override. To change this, edit the requirements and plan again",
        )
    for workload in requirements.workloads:
        if not any(workload.name == served.name for gate in platform.gateways for served in gate.workloads):
            raise InputError(
                f"no gateway serves workload `{workload.name}` of the requirements",
                where=Where(file, None, "isthmus:overrides.gateways"),
                fix="Remove the override that deletes the workload from its gateway",
            )


def _violations(platform: Platform, requirements: Requirements) -> list[tuple[str, str]]:
    """Each violation, and its path in the overrides."""
    violations: list[tuple[str, str]] = []
    table = handling.stricter_only(requirements.handling)
    for gateway in platform.gateways:
        for served in gateway.workloads:
            path = f"gateways[{gateway.name}].workloads[{served.name}]"
            workload = requirements.workload(served.name)
            if workload is None:
                violations.append((f"workload `{served.name}` is not in the requirements", path))
            elif workload.sensitivity != gateway.class_:
                problem = f"{served.name} is {workload.sensitivity}, but this gateway is {gateway.class_}"
                violations.append((problem, path))
            elif sorted(workload.residency or []) != sorted(served.residency):
                problem = _difference("residency", served.residency, workload.residency or [])
                violations.append((problem, f"{path}.residency"))
            elif workload.impact != served.impact:
                violations.append((_difference("impact", served.impact, workload.impact), f"{path}.impact"))
            elif workload.review != served.review:
                reviews = [_review_lines(review) for review in (served.review, workload.review)]
                violations.append((_difference("review", *reviews), f"{path}.review"))
            elif set(served.interfaces) - set(workload.interfaces):
                problem = _difference("list of interfaces", served.interfaces, workload.interfaces)
                violations.append((problem, f"{path}.interfaces"))
        violations += _of_chat(gateway, table[gateway.class_])
        violations += _of_usage(gateway, table[gateway.class_])
        for redaction in redacted_besides(gateway.class_, requirements):
            if redaction not in gateway.redacted:
                problem = f"the requirements redact {redaction} of class {gateway.class_}, but this gateway does not"
                violations.append((problem, f"gateways[{gateway.name}].redacted"))
    for site in platform.sites:
        required = requirements.site(site.name)
        if required is None:
            violations.append((f"site `{site.name}` is not in the requirements", f"sites[{site.name}]"))
        elif (site.kind, site.jurisdiction) != (required.kind, required.jurisdiction):
            problem = _difference(
                "place", f"{site.kind}, {site.jurisdiction}", f"{required.kind}, {required.jurisdiction}"
            )
            violations.append((problem, f"sites[{site.name}]"))
    for endpoint in platform.endpoints:
        names = [
            served.name
            for gateway in platform.gateways
            for served in gateway.workloads
            if endpoint.id in served.reaches
        ]
        reason = handling.refusal(
            endpoint.class_, endpoint.target, names, requirements.exceptions, handling=table[endpoint.class_]
        )
        if reason:
            violations.append((reason, f"endpoints[{endpoint.id}].target"))
    for store in platform.audit:
        sensitivities = {e.class_ for e in (*platform.endpoints, *platform.gateways) if e.site == store.site}
        least = retention_days(sensitivities, requirements)
        if store.retention_days < least:
            problem = f"records at {store.site} must be kept for {least} days, but are kept for {store.retention_days}"
            violations.append((problem, f"audit[{store.name}].retention_days"))
    return violations


def _of_chat(gateway: Gateway, demanded: handling.Handling) -> list[tuple[str, str]]:
    if gateway.chat is None:
        return []
    days, most = history_days_of(gateway, gateway.chat), demanded.chat_history_days
    if days <= most:
        return []
    problem = (
        f"the requirements keep conversations of class {gateway.class_} for {most} days, but this chat keeps them for "
        f"{days}"
    )
    return [(problem, f"gateways[{gateway.name}].chat.history_days")]


def _of_usage(gateway: Gateway, demanded: handling.Handling) -> list[tuple[str, str]]:
    if demanded.usage_by_person or not named_workloads(gateway):
        return []
    problem = f"the requirements name nobody in the usage of class {gateway.class_}, but this gateway does"
    return [(problem, f"gateways[{gateway.name}].usage.by_person")]


def _difference(key: str, actual: Any, expected: Any) -> str:
    return f"the {key} is {_text(actual)} here and {_text(expected)} in the requirements"


def _review_lines(review: Review | None) -> list[str]:
    settings = review.model_dump(exclude_none=True) if review is not None else {}
    return [f"{key}: {value}" for key, value in settings.items()]


def _text(value: Any) -> str:
    return (", ".join(value) if isinstance(value, list) else str(value)) or "none"
