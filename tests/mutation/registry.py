"""All operators, in the order of the table."""

from __future__ import annotations

from tests.mutation import (
    aside,
    audit,
    cost,
    data_path,
    data_path_aws,
    encryption,
    harmless_aws,
    harmless_kube,
    identity,
    records,
    records_aws,
    release,
    reliability,
    reviews,
    screening,
    workload,
)
from tests.mutation.shapes import Operator

ASIDE: list[Operator] = [operator for family in aside.FAMILIES for operator in family.operators]
"""Written before the policies, and set aside."""
FAULTS: list[Operator] = ASIDE + [
    operator
    for module in (
        data_path,
        data_path_aws,
        screening,
        encryption,
        identity,
        audit,
        records,
        records_aws,
        reviews,
        workload,
        cost,
        reliability,
        release,
    )
    for operator in module.FAMILY.operators
]
HARMLESS: list[Operator] = [*harmless_kube.FAMILY.operators, *harmless_aws.FAMILY.operators]
FAMILIES = tuple(family.name for family in aside.FAMILIES)


def find_operator(name: str) -> Operator:
    return next(operator for operator in (*FAULTS, *HARMLESS) if operator.id == name)
