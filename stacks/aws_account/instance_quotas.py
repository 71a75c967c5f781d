"""Whether an account may run the instances of its SageMaker endpoints, as far as AWS tells (Service Quotas)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.contracts.platform.model.aws.sagemaker import peak_instances
from isthmus.core.errors import Refused

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from stacks.aws_account.client import Asked


def quota_name(instance_type: str) -> str:
    """AWS's own name of the quota."""
    return f"{instance_type} for endpoint usage"


def check_instance_quotas(account_asked: Asked, platform: Platform) -> list[str]:
    """Refuse what the quotas do not carry while each endpoint is rolled; a line for each that AWS does not tell.

    Endpoints are rolled one beside the other by `up`, so all count twice: what serves, and what is to take over.
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
