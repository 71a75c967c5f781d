"""What a blueprint's template may ask for beyond plain Jinja2. Pure functions of requirements and plan."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from isthmus.contracts.hardware.gpus import GPUS
from isthmus.contracts.plan import aws_machines, capacity_rules
from isthmus.contracts.plan.document import Plan
from isthmus.contracts.reference import handling, inference_profiles
from isthmus.contracts.requirements import node_share
from isthmus.contracts.requirements.document import AwsSite, OnPremSite, Requirements
from isthmus.contracts.vocabulary import CALLED_TARGETS, SENSITIVITIES, SURVIVES
from isthmus.core.errors import FieldError, InputError, Refused

# Characters that YAML's double quotes take only as escapes, or that readers treat as the end of a line.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


def quoted(value: Any) -> str:
    """A value as JSON, which is YAML too: whatever the text holds, it stays one value."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def given(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The named keys of a mapping that have a value, in the order asked for."""
    return {key: value[key] for key in keys if value[key] is not None}


def product(gpu: str) -> str:
    """The label `nvidia.com/gpu.product` of a GPU id."""
    if gpu not in GPUS:
        from isthmus.core.validation_errors import did_you_mean

        raise InputError(f"`{gpu}` is not a known GPU", fix=did_you_mean(gpu, GPUS))
    return GPUS[gpu].product


def destination_regions(endpoint: dict[str, Any], site: dict[str, Any]) -> list[str]:
    """Every AWS region in which an endpoint's requests may be processed."""
    region = endpoint["region"] or site["region"]
    return list(inference_profiles.destinations(endpoint["inference_profile"], region))


def most_survived(workloads: Iterable[dict[str, Any]]) -> str:
    """The largest part whose loss any of the workloads wants to outlive."""
    return max((each["survive"] for each in workloads), key=SURVIVES.index, default="none")


def cut_gpus(site: str, gpu: str, *, plan: Plan, requirements: Requirements) -> list[dict[str, Any]]:
    """`pools[].mig` of a pool: the GPUs that the plan's endpoints on slices need cut, by class and profile.

    Raises `InputError` for an unknown profile, or slices that do not fill the GPUs of what must be outlived.
    """
    pool = next(
        pool
        for one in requirements.sites
        if isinstance(one, OnPremSite) and one.name == site
        for pool in one.pools
        if pool.gpu == gpu
    )
    found: dict[tuple[str, str], int] = {}
    try:
        for cut in capacity_rules.cut_gpus(plan, requirements, site, pool):
            key = (cut.class_, cut.profile)
            found[key] = found.get(key, 0) + cut.gpus
    except FieldError as error:
        raise InputError(error.what, where=f"{site}, {gpu}", fix=error.fix) from None
    return [
        {"class": class_, "profile": profile, "gpus": gpus}
        for (class_, profile), gpus in sorted(found.items())
    ]


MachinesAt = Callable[[str], Sequence[aws_machines.Machines]]
"""The pools of an AWS site, as the plan counted them (`plan_machines.machines`)."""


def node_groups(site: str, *, machines: MachinesAt, requirements: Requirements) -> list[dict[str, Any]]:
    """The pools of an AWS site's cluster as the platform has them; zones are the first ones of the region."""
    region = next(
        each.region for each in requirements.sites if isinstance(each, AwsSite) and each.name == site
    )
    return [
        {
            **{
                "name": each.name,
                "site": site,
                "gpu": each.instance.gpu,
                "product": product(each.instance.gpu),
            },
            **{"nodes": each.nodes, "gpus_per_node": each.instance.gpus, "failure_domains": each.domains},
            "node_group": {
                "instance_type": each.instance_type,
                "purchase": each.purchase,
                "zones": [f"{region}{letter}" for letter in "ab"[: each.domains]],
            },
        }
        for each in machines(site)
    ]


def on_machines(endpoint: dict[str, Any], *, machines: MachinesAt) -> dict[str, Any]:
    """Where an endpoint on EKS stands, and its part of a machine: `pool`, `cpu`, `memory`."""
    mine = next(each for each in machines(endpoint["site"]) if endpoint["id"] in each.endpoints)
    cpu, memory = aws_machines.replica_share(mine.instance, endpoint["tensor_parallel"] or 1)
    return {"pool": mine.name, "cpu": str(cpu), "memory": f"{memory}Gi"}


def on_node(endpoint: dict[str, Any], *, requirements: Requirements) -> dict[str, str]:
    """`cpu` and `memory` of an endpoint on-prem, where its nodes give less than its model's profile asks for."""
    site = requirements.site(endpoint["site"])
    pools = site.pools if isinstance(site, OnPremSite) else []
    pool = next((pool for pool in pools if pool.gpu == endpoint["gpu"]), None)
    if pool is None:
        return {}
    gpus = endpoint["tensor_parallel"] or 1
    return node_share.node_requests(pool, endpoint["model"], gpus, endpoint["mig_profile"])


def by_sensitivity(classes: Iterable[str]) -> list[str]:
    """Each class once, from least to most sensitive."""
    return sorted(set(classes), key=lambda each: [*SENSITIVITIES].index(handling.handling_of(each).class_))


_SECRETS = ("AWS_ACCESS_KEY", "AWS_SECRET_KEY", "PASSWORD", "PIN", "CREDIT_DEBIT_CARD_CVV")
_NUMBERS = ("CREDIT_DEBIT_CARD_NUMBER", "INTERNATIONAL_BANK_ACCOUNT_NUMBER")
_PERSONAL = ("ADDRESS", "EMAIL", "NAME", "PHONE")


def guarded(class_: str) -> list[dict[str, str]]:
    """What a guardrail of the class does about personal data and secrets, by what its handling redacts.

    Names are Bedrock's (`GuardrailPiiEntityType` of its API). Secrets are blocked wherever they appear;
    where prompts that leave the site are redacted, persons are made unrecognisable and account numbers blocked.
    """
    redacted = handling.handling_of(class_).redacted
    blocked = _SECRETS if "secrets-in-outputs" in redacted or "leaving-class" in redacted else ()
    masked: tuple[str, ...] = ()
    if "prompts-leaving-site" in redacted or "leaving-class" in redacted:
        blocked, masked = (*blocked, *_NUMBERS), _PERSONAL
    return [{"name": name, "action": "block"} for name in blocked] + [
        {"name": name, "action": "anonymize"} for name in masked
    ]


def redacted(class_: str, requirements: Requirements) -> list[handling.Redaction]:
    """What the organisation's handling has redacted of a class."""
    return handling.stricter_only(requirements.handling)[handling.handling_of(class_).class_].redacted


def redacted_besides(class_: str, requirements: Requirements) -> list[handling.Redaction]:
    """Of these, what stands beside the class's own."""
    return [
        each for each in redacted(class_, requirements) if each not in handling.handling_of(class_).redacted
    ]


def days(months: int) -> int:
    """The most days that so many calendar months can have: a record is never erased a day early."""
    if not months:
        return 0
    # Eight years hold every position of a leap year.
    starts = [(year, month) for year in range(2024, 2032) for month in range(1, 13)]
    return max((_first(year, month + months) - _first(year, month)).days for year, month in starts)


def _first(year: int, month: int) -> datetime.date:
    return datetime.date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)


def retention_days(classes: Iterable[str], requirements: Requirements) -> int:
    """How long a store must keep the records of these classes: the longest of their minima, in days.

    Raises `Refused` where a regime of one wants records erased before another's may be.
    """
    table = handling.stricter_only(requirements.handling)
    held = set(classes)
    rules = [
        (each.name, handling.overlay(each.sensitivity, each.regimes, table[each.sensitivity]))
        for each in requirements.workloads
        if each.sensitivity in held
    ]
    least, longest = max(((rule.records_months_min, name) for name, rule in rules), default=(1, ""))
    for name, rule in rules:
        most = rule.records_months_max
        if most is not None and most < least:
            raise Refused(
                f"one audit store would hold the records of `{longest}`, kept at least {least} months, and "
                f"of `{name}`, erased after {most}",
                fix="Serve the two from different sites, so that each has a store of its own",
            )
    return max(1, days(least))


def links_in_use(requirements: dict[str, Any], plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The platform's links: those of the requirements over which a class's work goes to AWS.

    A class crosses where its gateway stands at the on-prem end and an endpoint of it in AWS at the other.
    """
    sites = {site["name"]: site for site in requirements["sites"]}
    made: list[dict[str, Any]] = []
    for link in requirements["links"]:
        ends = sorted((link["from"], link["to"]), key=lambda name: sites[name]["kind"], reverse=True)
        here, there = (sites[name] for name in ends)
        stand = {gateway["class"] for gateway in plan["gateways"] if gateway["site"] == here["name"]}
        served = {
            endpoint["class"]
            for endpoint in plan["endpoints"]
            if endpoint["site"] == there["name"] and endpoint["target"] in CALLED_TARGETS
        }
        if not stand & served:
            continue
        gateway = there["existing"]["transit_gateway"]
        made.append(
            {
                "name": f"{here['name']}-{there['name']}",
                "from": here["name"],
                "to": there["name"],
                "kind": link["kind"],
                "mode": "manage",
                "classes": by_sensitivity(stand & served),
                "peer_ip": here["network"]["vpn_peer_ip"] if link["kind"] == "vpn" else None,
                "site_asn": here["network"]["bgp_asn"],
                "transit_gateway": gateway,
                "direct_connect_gateway": there["existing"]["direct_connect_gateway"],
            }
        )
    return made


def fail(what: str, fix: str = "") -> NoReturn:
    """Refuse from within a template: the blueprint does not cover what is asked for."""
    raise InputError(what, fix=fix)
