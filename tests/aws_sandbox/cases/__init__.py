"""For every type of the provider's table, the case that all its tests are made from."""

from __future__ import annotations

from tests.aws_sandbox.cases import (
    bedrock,
    keys_buckets_roles,
    rolesanywhere,
)
from tests.aws_sandbox.cases.case import Case

CASES: dict[str, Case] = {
    **keys_buckets_roles.CASES,
    **rolesanywhere.CASES,
    **bedrock.CASES,
}
