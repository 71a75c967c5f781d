"""Functions and filters for blueprint templates. They are pure functions of requirements and plan."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from edge.classes import Redacted
from isthmus.contracts.hardware.gpus import GPUS
from isthmus.contracts.plan import aws_machines, capacity_rules
from isthmus.contracts.plan.document import Plan
from isthmus.contracts.reference import handling, inference_profiles
from isthmus.contracts.requirements import node_share
from isthmus.contracts.requirements.document import AwsSite, OnPremSite, Requirements
from isthmus.contracts.vocabulary import CALLED_TARGETS, SENSITIVITIES, SURVIVES
from isthmus.core.errors import FieldError, InputError, Refused

# Characters that a double-quoted YAML string must escape, or that some readers treat as the end of a line.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


def quoted(value: Any) -> str:
    """A value as JSON, which is valid YAML. No text can break out of the value."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def keys_with_values(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The mapping with only the keys in `keys` that have a value, in that order."""
    return {key: value[key] for key in keys if value[key] is not None}


def product(gpu: str) -> str:
    """The label `nvidia.com/gpu.product` of a GPU id."""
    if gpu not in GPUS:
        from isthmus.core.validation_errors import did_you_mean

        raise InputError(f"`{gpu}` is not a known GPU", fix=did_you_mean(gpu, GPUS))
    return GPUS[gpu].product


def destination_regions(endpoint: dict[str, Any], site: dict[str, Any]) -> list[str]:
    """Every AWS region that may process an endpoint's requests."""
    region = endpoint["region"] or site["region"]
    return list(inference_profiles.destinations(endpoint["inference_profile"], region))


def most_survived(workloads: Iterable[dict[str, Any]]) -> str:
    """The largest failure that any of the workloads must survive."""
    return max((workload["survive"] for workload in workloads), key=SURVIVES.index, default="none")


def cut_gpus(site: str, gpu: str, *, plan: Plan, requirements: Requirements) -> list[dict[str, Any]]:
    """`pools[].mig` of a pool: the number of GPUs to slice for the plan's endpoints, by class and MIG profile.

    Raises `InputError` for an unknown profile, and for slices that do not fill the GPUs of an endpoint that must
    survive a failure.
    """
    pool = next(
        pool
        for on_prem_site in requirements.sites
        if isinstance(on_prem_site, OnPremSite) and on_prem_site.name == site
        for pool in on_prem_site.pools
        if pool.gpu == gpu
    )
    gpus_of: dict[tuple[str, str], int] = {}
    try:
        for cut in capacity_rules.cut_gpus(plan, requirements, site, pool):
            key = (cut.class_, cut.profile)
            gpus_of[key] = gpus_of.get(key, 0) + cut.gpus
    except FieldError as error:
        raise InputError(error.what, where=f"{site}, {gpu}", fix=error.fix) from None
    return [
        {"class": class_, "profile": profile, "gpus": gpus}
        for (class_, profile), gpus in sorted(gpus_of.items())
    ]


MachinesAt = Callable[[str], Sequence[aws_machines.Machines]]
"""Gives the pools of an AWS site, with the plan's numbers of machines (`aws_machines.aws_machines`)."""


def node_groups(site: str, *, machines: MachinesAt, requirements: Requirements) -> list[dict[str, Any]]:
    """The pools of an AWS site's cluster, in the platform's form. Zones are the first ones of the region."""
    region = next(
        aws_site.region
        for aws_site in requirements.sites
        if isinstance(aws_site, AwsSite) and aws_site.name == site
    )
    return [
        {
            **{
                "name": pool.name,
                "site": site,
                "gpu": pool.instance.gpu,
                "product": product(pool.instance.gpu),
            },
            **{"nodes": pool.nodes, "gpus_per_node": pool.instance.gpus, "failure_domains": pool.domains},
            "node_group": {
                "instance_type": pool.instance_type,
                "purchase": pool.purchase,
                "zones": [f"{region}{letter}" for letter in "ab"[: pool.domains]],
            },
        }
        for pool in machines(site)
    ]


def on_machines(endpoint: dict[str, Any], *, machines: MachinesAt) -> dict[str, Any]:
    """The pool of an endpoint on EKS, and the share of a machine for one replica: `pool`, `cpu`, `memory`."""
    own_pool = next(pool for pool in machines(endpoint["site"]) if endpoint["id"] in pool.endpoints)
    cpu, memory = aws_machines.replica_share(own_pool.instance, endpoint["tensor_parallel"] or 1)
    return {"pool": own_pool.name, "cpu": str(cpu), "memory": f"{memory}Gi"}


def on_node(endpoint: dict[str, Any], *, requirements: Requirements) -> dict[str, str]:
    """`cpu` and `memory` of an on-prem endpoint, if its nodes have less than the profile of its model requests."""
    site = requirements.site(endpoint["site"])
    pools = site.pools if isinstance(site, OnPremSite) else []
    pool = next((pool for pool in pools if pool.gpu == endpoint["gpu"]), None)
    if pool is None:
        return {}
    gpus = endpoint["tensor_parallel"] or 1
    return node_share.node_requests(pool, endpoint["model"], gpus, endpoint["mig_profile"])


def by_sensitivity(classes: Iterable[str]) -> list[str]:
    """Each class once, from least to most sensitive."""
    return sorted(
        set(classes), key=lambda class_: [*SENSITIVITIES].index(handling.handling_of(class_).class_)
    )


_SECRETS = ("AWS_ACCESS_KEY", "AWS_SECRET_KEY", "PASSWORD", "PIN", "CREDIT_DEBIT_CARD_CVV")
_NUMBERS = ("CREDIT_DEBIT_CARD_NUMBER", "INTERNATIONAL_BANK_ACCOUNT_NUMBER")
_PERSONAL = ("ADDRESS", "EMAIL", "NAME", "PHONE")


def guarded(class_: str) -> list[dict[str, str]]:
    """The actions of a class's guardrail on personal data and secrets, by the redactions of the class's handling.

    Names are those of Bedrock's API (`GuardrailPiiEntityType`). Secrets are blocked wherever they appear. If prompts
    that leave the site are redacted, personal data is anonymised and account numbers are blocked.
    """
    redacted = handling.handling_of(class_).redacted
    blocked = _SECRETS if "secrets-in-outputs" in redacted or "leaving-class" in redacted else ()
    masked: tuple[str, ...] = ()
    if "prompts-leaving-site" in redacted or "leaving-class" in redacted:
        blocked, masked = (*blocked, *_NUMBERS), _PERSONAL
    return [{"name": name, "action": "block"} for name in blocked] + [
        {"name": name, "action": "anonymize"} for name in masked
    ]


def redacted(class_: str, requirements: Requirements) -> list[Redacted]:
    """The redactions of a class in the organisation's handling."""
    return handling.stricter_only(requirements.handling)[handling.handling_of(class_).class_].redacted


def redacted_besides(class_: str, requirements: Requirements) -> list[Redacted]:
    """The redactions that the organisation adds to the default ones of the class."""
    return [
        redaction
        for redaction in redacted(class_, requirements)
        if redaction not in handling.handling_of(class_).redacted
    ]


def names_people(class_: str, requirements: Requirements) -> bool:
    """Whether the organisation's handling lets the usage ledger have a pseudonym for each person of the class."""
    return handling.stricter_only(requirements.handling)[handling.handling_of(class_).class_].usage_by_person


def languages(names: Iterable[str], *, requirements: Requirements) -> list[str]:
    """The languages that these workloads state, each once, in the order in which they are stated."""
    wanted = set(names)
    stated = [workload.languages for workload in requirements.workloads if workload.name in wanted]
    return list(dict.fromkeys(language for languages in stated for language in languages))


def unstated_languages(plan: Plan, requirements: Requirements) -> list[tuple[str, str]]:
    """Workloads that state no languages although names are redacted in their prompts, with the site these leave."""
    found: list[tuple[str, str]] = []
    for workload in requirements.workloads:
        gateway = plan.gateway_of(workload.name)
        if workload.languages or gateway is None:
            continue
        endpoints = [
            plan.endpoint(placement.endpoint)
            for placement in plan.placements
            if placement.workload == workload.name
        ]
        leaves = any(endpoint is not None and endpoint.site != gateway.site for endpoint in endpoints)
        if leaves and "prompts-leaving-site" in redacted(workload.sensitivity, requirements):
            found.append((workload.name, gateway.site))
    return found


def days(months: int) -> int:
    """The largest number of days that `months` calendar months can have, so that no record is erased early."""
    if not months:
        return 0
    # Eight years include every position of a leap year.
    starts = [(year, month) for year in range(2024, 2032) for month in range(1, 13)]
    return max((_first(year, month + months) - _first(year, month)).days for year, month in starts)


def _first(year: int, month: int) -> datetime.date:
    return datetime.date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)


def retention_days(classes: Iterable[str], requirements: Requirements) -> int:
    """How long a store must keep the records of these classes, in days: the longest of their minima.

    Raises `Refused` if one regime requires erasure earlier than another allows it.
    """
    table = handling.stricter_only(requirements.handling)
    sensitivities = set(classes)
    rules = [
        (workload.name, handling.overlay(workload.sensitivity, workload.regimes, table[workload.sensitivity]))
        for workload in requirements.workloads
        if workload.sensitivity in sensitivities
    ]
    least, longest = max(((rule.records_months_min, name) for name, rule in rules), default=(1, ""))
    for name, rule in rules:
        most = rule.records_months_max
        if most is not None and most < least:
            raise Refused(
                f"one audit store would hold the records of `{longest}`, which must be kept for {least} months, and "
                f"of `{name}`, which must be erased after {most}",
                fix="Serve the two workloads from different sites, so that each has its own store",
            )
    return max(1, days(least))


def links_in_use(requirements: dict[str, Any], plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The links of the requirements that the plan uses, in the platform's form.

    A class uses a link if it has a gateway at the on-prem end and an endpoint at the AWS end.
    """
    sites = {site["name"]: site for site in requirements["sites"]}
    used_links: list[dict[str, Any]] = []
    for link in requirements["links"]:
        ends = sorted((link["from"], link["to"]), key=lambda name: sites[name]["kind"], reverse=True)
        site, aws_site = (sites[name] for name in ends)
        gateway_classes = {
            gateway["class"] for gateway in plan["gateways"] if gateway["site"] == site["name"]
        }
        endpoint_classes = {
            endpoint["class"]
            for endpoint in plan["endpoints"]
            if endpoint["site"] == aws_site["name"] and endpoint["target"] in CALLED_TARGETS
        }
        if not gateway_classes & endpoint_classes:
            continue
        gateway = aws_site["existing"]["transit_gateway"]
        used_links.append(
            {
                "name": f"{site['name']}-{aws_site['name']}",
                "from": site["name"],
                "to": aws_site["name"],
                "kind": link["kind"],
                "mode": "manage",
                "classes": by_sensitivity(gateway_classes & endpoint_classes),
                "peer_ip": site["network"]["vpn_peer_ip"] if link["kind"] == "vpn" else None,
                "site_asn": site["network"]["bgp_asn"],
                "transit_gateway": gateway,
                "direct_connect_gateway": aws_site["existing"]["direct_connect_gateway"],
            }
        )
    return used_links


def fail(problem: str, fix: str = "") -> NoReturn:
    """Raise `InputError` from a template, for requirements that the blueprint does not cover."""
    raise InputError(problem, fix=fix)
