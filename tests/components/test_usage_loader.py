"""The loader of the bank's usage ledger: its settings, its files, and what it reaches."""

from __future__ import annotations

from typing import Any

import pytest

from components import UsageLoader
from edge.config import LoaderConfig
from edge.config import check as read_by_the_edge
from isthmus.core.errors import InputError, Refused
from tests.components.conftest import Engine, build
from tests.components.platforms import reviewed
from tests.components.test_chat import IMAGE, addresses, config_of, namespaces

pytestmark = pytest.mark.whole

NAME = "isthmus-fra1-confidential-loader"
NAMESPACE = "isthmus-confidential-loader"
POD = "confidential-loader"
LEDGER: dict[str, Any] = {
    **{"host": "usage.fra1.bank.example", "address": "10.40.0.31", "port": 5433},
    **{"secret": "usage-database", "store_secret": "records-reader"},
}


def ledgered(platform: dict[str, Any], at: int = 1, **more: Any) -> dict[str, Any]:
    """The bank, which keeps a usage ledger of confidential work."""
    platform["gateways"][at]["usage"] = {"ledger": {**LEDGER, **more}}
    return platform


def test_the_edge_reads_the_loaders_settings(engine: Engine, platform: dict[str, Any], tmp_path: Any) -> None:
    build(engine, ledgered(platform, since=7))
    read = read_by_the_edge(config_of(engine, NAME), tmp_path)
    assert isinstance(read, LoaderConfig)
    assert (read.data_class, read.site, read.since) == ("confidential", "fra1", 7)
    database = read.database
    assert (database.host, database.port, database.name, database.user) == (
        "usage.fra1.bank.example",
        5433,
        "usage",
        "usage",
    )
    sealer = config_of(engine, "isthmus-fra1-confidential-sealer")["store"]
    assert {key: getattr(read.store, key) for key in ("endpoint", "region", "bucket", "prefix")} == {
        key: sealer[key] for key in ("endpoint", "region", "bucket", "prefix")
    }, "it would read another store than its sealer fills"


@pytest.mark.parametrize(
    ("at", "by_person", "named"),
    [(1, True, ["kyc-extraction"]), (1, False, []), (0, True, [])],
    ids=["allowed", "forbidden by the organisation", "restricted"],
)
def test_people_are_named_where_class_and_handling_allow_it(
    engine: Engine, platform: dict[str, Any], at: int, by_person: bool, named: list[str]
) -> None:
    ledgered(platform, at)["gateways"][at]["usage"]["by_person"] = by_person
    build(engine, platform)
    class_ = platform["gateways"][at]["class"]
    assert config_of(engine, f"isthmus-fra1-{class_}-loader")["named_workloads"] == named


def test_its_files_come_from_two_secrets_and_none_of_them_is_the_sealers(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, ledgered(platform))
    pod = engine.pods()[POD]
    (container,) = pod["containers"]
    sources = {
        volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume
    }
    mounted = {
        mount["mountPath"]: sources[mount["name"]]
        for mount in container["volumeMounts"]
        if mount["name"] in sources
    }
    assert mounted == {"/etc/isthmus/ledger": "usage-database", "/etc/isthmus/store": "records-reader"}
    assert "persistentVolumeClaim" not in str(pod["volumes"]), "it could write records"
    account = engine.only("ServiceAccount", f"{NAME}-account")
    assert account.inputs["automountServiceAccountToken"] is False


def test_it_reaches_the_ledger_and_the_store_and_only_a_prometheus_reaches_it(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, ledgered(platform))
    policy = engine.only("NetworkPolicy", f"{NAME}-network")
    assert policy.meta["namespace"] == NAMESPACE
    assert addresses(policy, "egress") == ["10.40.0.31/32", "10.40.0.9/32"]
    assert [rule["ports"][0]["port"] for rule in policy.spec["egress"]] == [5433, 443]
    assert (namespaces(policy, "egress"), namespaces(policy, "ingress")) == (set(), {"monitoring"})
    aliases = {alias["ip"]: alias["hostnames"] for alias in engine.pods()[POD]["hostAliases"]}
    assert aliases == {"10.40.0.31": ["usage.fra1.bank.example"], "10.40.0.9": ["s3.fra1.bank.example"]}
    assert any(monitor.name.startswith(NAME) for monitor in engine.all("PodMonitor"))


def test_without_a_ledger_there_is_no_namespace_for_a_loader(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, reviewed(platform))
    assert POD not in engine.pods()
    assert NAMESPACE not in {space.meta["name"] for space in engine.all("Namespace")}


def arguments(**more: Any) -> dict[str, Any]:
    """Arguments of a loader of class restricted."""
    return {
        **{"sensitivity": "restricted", "image": IMAGE, "ledger_address": "10.40.0.31"},
        **{"store_address": "10.40.0.9", "secret": "usage", "store_secret": "reader"},
        **{"monitoring_namespace": "monitoring", "site_cidrs": ["10.40.0.0/16"]},
        "settings": {
            "database": {"host": "usage.fra1.bank.example"},
            "store": {"endpoint": "https://s3.fra1.bank.example"},
        },
        **more,
    }


@pytest.mark.parametrize("field", ["ledger_address", "store_address"])
def test_a_restricted_loader_that_leaves_the_site_is_not_made(engine: Engine, field: str) -> None:
    with pytest.raises(Refused, match=r"52\.94\.0\.1/32 is not inside the site's networks") as refused:
        engine.deploy(UsageLoader, "r", arguments(**{field: "52.94.0.1"}))
    assert f"r.{field}" in str(refused.value)


def test_settings_without_a_database_are_refused_with_their_place(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"r\.settings: the loader's settings name no database"):
        engine.deploy(UsageLoader, "r", arguments(settings={"store": {"endpoint": "https://s3.x.example"}}))
