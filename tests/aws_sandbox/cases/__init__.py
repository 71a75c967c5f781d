"""For every type of the provider's table, the case that all its tests are made from."""

from __future__ import annotations

from tests.aws_sandbox.cases import (
    alarms,
    bedrock,
    cost,
    directconnect,
    eks,
    keys_buckets_roles,
    link,
    network,
    network_endpoints,
    resolver,
    rolesanywhere,
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
    **directconnect.CASES,
    **secrets.CASES,
    **network.CASES,
    **network_endpoints.CASES,
    **trail.CASES,
    **alarms.CASES,
    **cost.CASES,
    **eks.CASES,
}
