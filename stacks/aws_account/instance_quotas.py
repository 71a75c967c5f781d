"""Checks whether the quotas of an account allow the instances of its SageMaker endpoints (Service Quotas)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.platform.model.aws.sagemaker import peak_instances
from isthmus.core.errors import Refused

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from stacks.aws_account.client import Asked


def quota_name(instance_type: str) -> str:
    """AWS's name of the quota for an instance type."""
    return f"{instance_type} for endpoint usage"


def check_instance_quotas(account_asked: Asked, platform: Platform) -> list[str]:
    """Refuse instances beyond the quotas during a rollout. Returns a line for each quota that AWS does not report.

    `up` starts the new instances of an endpoint beside the old ones, so every instance counts twice.
    """
    from stacks.aws_account import client

    needed: dict[str, int] = {}
    for endpoint in platform.endpoints:
        if endpoint.site == account_asked.site.name and endpoint.sagemaker is not None:
            for kind, count in peak_instances(endpoint.replicas, endpoint.sagemaker).items():
                needed[kind] = needed.get(kind, 0) + count
    unknown: list[str] = []
    region = account_asked.site.region or ""
    for kind, count in sorted(needed.items()):
        amount = client.quota(account_asked, quota_name(kind), region, "sagemaker")
        where = f"the account of {account_asked.site.name}, {region}"
        if amount is None:
            unknown.append(
                f"the account of {account_asked.site.name} tells no quota `{quota_name(kind)}`; {count} are needed "
                "while endpoints are rolled out, half of them else"
            )
        elif amount < count:
            raise Refused(
                f"the quota `{quota_name(kind)}` is {amount:g}, and {count} are needed while endpoints are rolled out",
                where=where,
                fix="Have AWS raise it (Service Quotas), or lower replicas or max_instances",
            )
    return unknown
