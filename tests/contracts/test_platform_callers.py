"""Callers of a gateway and their limits: settings that could not be enforced are refused."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.core.errors import IsthmusError, Refused
from tests.components.platforms import bank
from tests.contracts.test_platform_model import parse

DATABASE = {"host": "callers.db.bank.example", "address": "10.40.7.7"}
RESTRICTED, CONFIDENTIAL, PUBLIC = 0, 1, 3


def with_allowance(
    at: int = RESTRICTED, workload: dict[str, Any] | None = None, **gateway: Any
) -> dict[str, Any]:
    data = bank()
    data["gateways"][at] |= gateway
    data["gateways"][at]["workloads"][0] |= workload or {}
    return data


def test_a_caller_database_with_teams_limits_and_clients_is_accepted() -> None:
    limits = {"team": "risk", "allowance": {"tokens_per_month": 10**9}, "clients": ["app.payments.svc"]}
    team = {"name": "risk", "allowance": {"requests_per_minute": 600}}
    gateway = parse(with_allowance(workload=limits, database=DATABASE, teams=[team])).gateways[0]
    assert gateway.database is not None
    assert (gateway.database.port, gateway.database.user) == (5432, "gateway")
    assert gateway.workloads[0].allowance.tokens_per_month == 10**9


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            with_allowance(workload={"allowance": {"requests_per_minute": 5}}),
            "but no database that counts them",
        ),
        (
            with_allowance(workload={"team": "x"}, teams=[{"name": "x", "allowance": {}}]),
            "but no database that counts them",
        ),
        (
            with_allowance(database=DATABASE, teams=[{"name": "y", "allowance": {}}]),
            "gateway restricted-fra1 has limits for team y, but no workload of that team",
        ),
        (with_allowance(workload={"clients": ["*.svc"]}), "is not a valid name of a client certificate"),
        (
            with_allowance(workload={"clients": ["https://app"]}),
            "is not a valid name of a client certificate",
        ),
        (with_allowance(workload={"allowance": {"requests_per_minute": 0}}), "greater than or equal to 1"),
        (
            with_allowance(database={**DATABASE, "address": "db.svc"}),
            "`db.svc` is not valid: expected an address like `10.40.3.10`",
        ),
    ],
)
def test_limits_that_cannot_be_enforced_are_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(IsthmusError, match=message):
        parse(data)


def test_a_client_certificate_of_two_workloads_is_refused() -> None:
    data = with_allowance(workload={"clients": ["app.svc"]})
    first = data["gateways"][RESTRICTED]["workloads"][0]
    data["gateways"][RESTRICTED]["workloads"].append({**first, "name": "another"})
    with pytest.raises(IsthmusError, match="is listed for two workloads, transaction-narratives and another"):
        parse(data)


@pytest.mark.parametrize("address", ["10.80.1.1", "52.94.1.1"])
def test_a_database_of_restricted_callers_outside_the_site_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="is outside the allowed networks"):
        parse(with_allowance(database={**DATABASE, "address": address}))
