"""Words for parts that fail, and for availabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from isthmus.planning.catalogues.failure_modes import HOURS_PER_YEAR

if TYPE_CHECKING:
    from isthmus.contracts.plan.document import WorkloadAvailability
    from isthmus.contracts.vocabulary import FailurePart

_PARTS: Mapping[FailurePart, str] = {
    "replica": "a crash of the replicas of {at}",
    "node-on-prem": "the failure of nodes of {at}",
    "node-aws": "the failure of instances of {at}",
    "domain-on-prem": "the failure of a domain of {at}",
    "domain-aws": "the failure of a zone of {at}",
    "gateway": "the gateway {at}",
    "database": "the database of gateway {at}",
    "link-vpn": "the VPN {at}",
    "link-direct-connect": "the Direct Connect line {at}",
    "link-internet": "the way over the internet {at}",
    "site-on-prem": "the one site {at}",
    "site-aws": "the one AWS region at {at}",
    "provider-bedrock": "Amazon Bedrock at {at}",
    "provider-sagemaker": "Amazon SageMaker at {at}",
}


def describe_part(part: FailurePart, at: str) -> str:
    """Return a part in words: `the VPN fra1-frankfurt`."""
    return _PARTS[part].format(at=at)


def number(share: float) -> str:
    """Return an availability without trailing zeros: `0.999`, `0.999441`."""
    return f"{share:.12g}"


def describe_availability(entry: WorkloadAvailability) -> str:
    """Return the expected availability, its goal, and the two parts that limit it most."""
    hours = (1 - entry.expected) * HOURS_PER_YEAR
    limits = ", ".join(
        f"{describe_part(loss.part, loss.at)} ({loss.hours_per_year:g})" for loss in entry.limited_by[:2]
    )
    verdict = "meets" if entry.expected >= entry.goal else "misses"
    raised = f", `survive` raised from {entry.raised_from} to {entry.survive}" if entry.raised_from else ""
    return (
        f"{number(entry.expected)}, {verdict} {number(entry.goal)}{raised}; {hours:.3g} hours a year down, most by "
        f"{limits or 'nothing in particular'}"
    )
