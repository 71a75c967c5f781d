"""A gateway's callers in a database: its file, which the edge reads, its one way there, and the graph that sees it."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from components import InferenceGateway
from edge.config import check as read_by_the_edge
from isthmus.contracts.errors import AnswerIsNo
from tests.components.conftest import Engine, build
from tests.components.platforms import DIGEST, REGISTRY

DATABASE = {"host": "callers.db.bank.example", "address": "10.40.7.7"}


def told(engine: Engine, name: str, path: Any) -> Any:
    text = engine.only("ConfigMap", name).inputs["data"]["config.yaml"]
    return read_by_the_edge(YAML(typ="safe").load(text), path)


@pytest.fixture
def counted(engine: Engine, platform: dict[str, Any]) -> Engine:
    """The bank, whose restricted callers are in a database, with limits."""
    gateway = platform["gateways"][0]
    gateway |= {"database": DATABASE, "teams": [{"name": "risk", "allowance": {"requests_per_minute": 600}}]}
    gateway["workloads"][0] |= {
        **{"team": "risk", "clients": ["app.payments.svc"]},
        "allowance": {"tokens_per_month": 10**9},
    }
    build(engine, platform)
    return engine


def test_the_file_says_what_the_platform_does_and_the_edge_reads_it(counted: Engine, tmp_path: Any) -> None:
    read = told(counted, "isthmus-fra1-restricted-gateway-config", tmp_path)
    assert read.callers is None
    assert (read.database.host, read.database.port, read.database.user) == (DATABASE["host"], 5432, "gateway")
    assert str(read.database.ca) == "/etc/isthmus/callers/ca.crt"
    (workload,) = read.workloads
    assert (workload.team, workload.clients) == ("risk", ["app.payments.svc"])
    assert workload.allowance.tokens_per_month == 10**9
    assert read.teams[0].allowance.requests_per_minute == 600
    other = told(counted, "isthmus-fra1-confidential-gateway-config", tmp_path)
    assert (other.database, other.workloads) == (None, [])


def test_its_pods_reach_the_database_by_its_address_and_nothing_more(counted: Engine) -> None:
    policy = counted.only("NetworkPolicy", "isthmus-fra1-restricted-gateway-network")
    (way,) = [rule for rule in policy.spec["egress"] if "ipBlock" in rule["to"][0]]
    assert way == {
        "to": [{"ipBlock": {"cidr": "10.40.7.7/32"}}],
        "ports": [{"protocol": "TCP", "port": 5432}],
    }
    pods = counted.pods()
    (pod,) = [pod for name, pod in pods.items() if name.endswith("restricted-gateway")]
    assert {"ip": "10.40.7.7", "hostnames": [DATABASE["host"]]} in pod["hostAliases"]


def test_a_restricted_gateway_alone_takes_no_database_outside_the_site(engine: Engine) -> None:
    route = {"workload": "w", "endpoint": "m", "model": "x", "cluster_ip": "10.96.0.7"}
    args: dict[str, Any] = {
        **{"sensitivity": "restricted", "site": "fra1", "image": f"{REGISTRY}edge@{DIGEST}"},
        **{"routes": [route], "callers_secret": "callers", "issuer": {"name": "bank"}},
        **{"monitoring_namespace": "monitoring", "site_cidrs": ["10.40.0.0/16"]},
    }
    with pytest.raises(AnswerIsNo, match="not inside the site's networks"):
        engine.deploy(InferenceGateway, "g", {**args, "database": {**DATABASE, "address": "52.94.1.1"}})
