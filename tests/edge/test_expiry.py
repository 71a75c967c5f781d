"""Metrics that warn before keys and certificates expire."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from edge import keys
from edge.callers import FileKeys, PostgresKeys
from edge.callers.store import CallersUnreadable, KeyEnds, digest_of
from edge.config.database import DatabaseConfig
from edge.config.gateway import Allowance
from edge.database import Database
from edge.expiry import CertificateExpiry
from tests.edge.certificates import Authority
from tests.edge.conftest import Site
from tests.edge.postgres import Postgres

DAY_S = 86400.0


def test_keys_in_a_database_are_told_by_workload(postgres: Postgres, tmp_path: Path):
    postgres.ask("CREATE DATABASE expiry")
    file = tmp_path / "admin.yaml"
    YAML().dump(postgres.administrator("expiry"), file)

    def run(*arguments: str) -> None:
        assert keys.main(["--database", str(file), *arguments]) == 0

    run("migrate")
    for workload, *days in (("claims", "3"), ("claims", "30"), ("forever", "9"), ("forever",), ("over", "5")):
        of_class = ("--class", "internal", *(["--days", days[0]] if days else []))
        run("issue", "--workload", workload, *of_class)
    run("issue", "--workload", "claims", "--class", "public", "--days", "1")
    postgres.ask(
        "UPDATE isthmus.keys SET not_after = now() - interval '1 hour' WHERE workload = 'over'", "expiry"
    )

    async def ends() -> dict[str, KeyEnds]:
        database = Database(DatabaseConfig(**postgres.administrator("expiry")))
        try:
            return await PostgresKeys(database).ends("internal")
        finally:
            await database.close()

    ends_by_workload = asyncio.run(ends())
    assert ends_by_workload["claims"].first == pytest.approx(3 * DAY_S, abs=300)
    assert ends_by_workload["claims"].last == pytest.approx(30 * DAY_S, abs=300)
    assert ends_by_workload["forever"] == (pytest.approx(9 * DAY_S, abs=300), math.inf)
    assert ends_by_workload["over"] == (None, pytest.approx(-3600, abs=300))


def listed(folder: Path, *callers: dict[str, Any]) -> FileKeys:
    file = folder / "callers.yaml"
    YAML().dump({"callers": list(callers)}, file)
    return FileKeys(file, "internal")


def caller(number: int, workload: str = "claims", **more: Any) -> dict[str, Any]:
    return {"key_sha256": f"{number:064x}", "workload": workload, **more}


def test_keys_in_a_file_may_end_too(tmp_path: Path):
    soon = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    store = listed(tmp_path, caller(1, not_after=soon), caller(2), caller(3, "other", not_after=soon))
    ends_by_workload = asyncio.run(store.ends("internal"))
    assert ends_by_workload["claims"] == (pytest.approx(2 * DAY_S, abs=60), math.inf)
    assert ends_by_workload["other"].last == pytest.approx(2 * DAY_S, abs=60)


def test_a_key_in_a_file_has_its_models_its_requests_at_once_and_its_end(tmp_path: Path):
    over = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    digest = digest_of("a key of the file").hex()
    more = {"models": ["small"], "parallel_requests": 2, "not_after": over}
    store = listed(tmp_path, {"key_sha256": digest, "workload": "claims", **more}, caller(2))
    for key in (asyncio.run(store.find("a key of the file")), asyncio.run(store.find_id(digest[:12]))):
        assert key is not None
        assert (key.models, key.allowance) == (frozenset({"small"}), Allowance(parallel_requests=2))
        assert key.left_s == pytest.approx(-3600, abs=60)
    assert asyncio.run(store.find("another key")) is None


def test_rates_and_budgets_of_a_key_need_a_database(tmp_path: Path):
    store = listed(tmp_path, caller(1, requests_per_minute=5))
    with pytest.raises(CallersUnreadable, match="requests_per_minute"):
        asyncio.run(store.find("any"))


@pytest.mark.parametrize("not_after", ["2030-01-01T00:00:00", "tomorrow"])
def test_an_end_without_a_time_zone_makes_the_file_unreadable(tmp_path: Path, not_after: str):
    store = listed(tmp_path, caller(1, not_after=not_after))
    with pytest.raises(CallersUnreadable, match="not_after"):
        asyncio.run(store.ends("internal"))


def test_one_key_with_two_sets_of_limits_makes_the_file_unreadable(tmp_path: Path):
    store = listed(tmp_path, caller(1, models=["a"]), caller(1, models=["b"]))
    with pytest.raises(CallersUnreadable, match="listed twice"):
        asyncio.run(store.ends("internal"))


def test_a_renewed_certificate_is_noticed(tmp_path: Path):
    authority = Authority(tmp_path)
    certificate, _ = authority.issue("server", "a.svc")
    expiry = CertificateExpiry(Path(certificate))
    assert expiry.left_s() > 60
    Path(certificate).unlink()
    assert math.isnan(expiry.left_s())


def test_the_gateway_exports_both(chain: Site):
    gateway = chain.gateway
    for name in ("listen", "upstream"):
        assert gateway.metric("isthmus_certificate_expires_seconds", certificate=name) > 60
    for key in ("first", "last"):
        assert gateway.metric("isthmus_key_expires_seconds", workload="claims", key=key) == math.inf
    lines = [line for line in gateway.health("/metrics").text.splitlines() if "key_expires" in line]
    assert lines
    assert not any("unrouted" in line for line in lines), "a label of a workload that is not served here"
