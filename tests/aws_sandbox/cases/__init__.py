"""For every type of the provider's table, the case that all its tests are made from."""

from __future__ import annotations

from tests.aws_sandbox.cases import (
    alarms,
    bedrock,
    cost,
    directconnect,
    dns_firewall,
    efs,
    eks,
    fargate,
    keys_buckets_roles,
    link,
    names_and_links,
    network,
    network_endpoints,
    resolver,
    rolesanywhere,
    sagemaker,
    secrets,
    trail,
)
from tests.aws_sandbox.cases.case import Case

CASES: dict[str, Case] = {
    **keys_buckets_roles.CASES,
    **rolesanywhere.CASES,
    **bedrock.CASES,
    **link.CASES,
    **resolver.CASES,
    **dns_firewall.CASES,
    **directconnect.CASES,
    **secrets.CASES,
    **network.CASES,
    **network_endpoints.CASES,
    **fargate.CASES,
    **names_and_links.CASES,
    **trail.CASES,
    **alarms.CASES,
    **cost.CASES,
    **sagemaker.CASES,
    **eks.CASES,
    **efs.CASES,
}
