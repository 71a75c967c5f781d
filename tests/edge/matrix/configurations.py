"""Configurations of the matrix's processes: sidecars, translators and the gateways of each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.edge.batches.batching import KEY as TRANSIT_KEY
from tests.edge.conftest import gateway_config
from tests.edge.counted import GatewayDatabase
from tests.edge.fake_model import MODEL, Answering
from tests.edge.issuer import AUDIENCE, ISSUER
from tests.edge.matrix.lanes import (
    COUNTED_KINDS,
    GROUPS,
    PROFILE,
    SPARE_MODEL,
    Replica,
    callers_file,
    jwks_file,
    server_name,
)
from tests.edge.processes import Edge, free_port

PRICE = {"prompt": 1000.0, "completion": 10_000.0}
"""USD for a million tokens. An answer of the fake model costs 0.057 USD."""
PROBE_S = 0.1
"""Seconds between two probes of replicas, whose cases wait for the gateway to see their state."""
COUNTED_PROBE_S = 0.5
"""Seconds between two probes at the gateway with batches, whose lines wait while the model reports a queue. After three
of these times without a probe the gateway no longer believes the report."""
SECOND_ADDRESS = "127.0.0.2"
"""Where the second replica's sidecar listens, at the port of the first one."""


@dataclass
class Servers:
    """What is behind the gateways of one class."""

    model: Answering
    sidecar: Edge
    second: Replica
    translator: Edge | None


def replicas_host(data_class: str) -> str:
    """The host name that lists the addresses of a class's replicas."""
    return f"{data_class}-replicas.isthmus-{data_class}.svc"


def sidecar(folder: Path, data_class: str, upstream: str) -> dict[str, Any]:
    return {
        **{"mode": "sidecar", "class": data_class, "upstream": upstream},
        "listen": _listen(folder, f"{data_class}-sidecar"),
        "allowed_clients": [server_name(data_class, "gateway")],
    }


def translator(folder: Path, data_class: str, endpoint: str) -> dict[str, Any]:
    model = {
        "name": "haiku",
        "region": "eu-central-1",
        "inference_profile": PROFILE,
        "endpoint_url": endpoint,
    }
    return {
        **{"mode": "translator", "class": data_class, "models": [model]},
        "listen": _listen(folder, f"{data_class}-translator"),
        "allowed_clients": [server_name(data_class, "gateway")],
    }


def plain(folder: Path, data_class: str, servers: Mapping[str, Servers]) -> dict[str, Any]:
    """The gateway with callers in a file, and a route for each kind of workload but `replicas`."""
    own = servers[data_class]
    targets = _targets(data_class, own)
    routes = [
        {
            "workload": f"{data_class}-{kind}",
            **target,
            "interfaces": [] if "task" in target else ["responses", "messages"],
        }
        for kind, target in targets.items()
    ]
    stray = f"{data_class}-stray"
    for other, place in _foreign_places(data_class, servers).items():
        unreachable = _place(data_class, None)
        routes.append({"workload": stray, "name": f"{stray}-{other}", **unreachable, "fallback": [place]})
    return {**_of_class(folder, data_class, own), "routes": routes}


def screened(folder: Path, data_class: str, own: Servers) -> dict[str, Any]:
    """The gateway before guards and a detector are added: one route to the class's model."""
    return {**_of_class(folder, data_class, own), "routes": [_working(data_class, own)]}


def counted(folder: Path, data_class: str, own: Servers, database: GatewayDatabase) -> dict[str, Any]:
    """The gateway with PostgreSQL, with people and batches, and with one model for all workloads."""
    config = _of_class(folder, data_class, own)
    del config["callers"]
    place = {**_working(data_class, own), "usd_per_million_tokens": PRICE}
    place["interfaces"] = [*place["interfaces"], "batches"]
    names = {f"{data_class}-{kind}": allowance for kind, allowance in COUNTED_KINDS.items()}
    through = {} if data_class == "public" else {"through": ["app.payments.svc"]}
    (folder / "transit").write_text(TRANSIT_KEY)
    return {
        **config,
        "limits": {**config["limits"], "probe_s": COUNTED_PROBE_S},
        "database": database.access(),
        "file_store": {"key": str(folder / "transit")},
        "batches": {"lease_s": 5},
        "tokens": {
            **{"issuer": ISSUER, "audiences": [AUDIENCE], **through},
            "jwks_file": str(jwks_file(folder, data_class)),
            "workloads": [
                {"workload": f"{data_class}-{kind}", "groups": [group]} for kind, group in GROUPS.items()
            ],
        },
        "workloads": [{"name": name, "allowance": allowance} for name, allowance in names.items()],
        "routes": [{**place, "workload": name} for name in names],
    }


def replicated(folder: Path, data_class: str, own: Servers) -> dict[str, Any]:
    """The gateway whose one model has two replicas, which a host name lists."""
    config = _of_class(folder, data_class, own)
    place = {**_working(data_class, own), "url": f"https://{replicas_host(data_class)}:{own.sidecar.port}"}
    return {
        **config,
        "limits": {**config["limits"], "probe_s": PROBE_S},
        "routes": [{**place, "workload": f"{data_class}-replicas", "by_replica": True}],
    }


def _of_class(folder: Path, data_class: str, own: Servers) -> dict[str, Any]:
    """The configuration of the boundary tests' gateway for this class. Its routes are to be replaced."""
    config = gateway_config(folder, own.sidecar.port, f"{data_class}-gateway")
    if data_class == "public":
        del config["listen"]["client_ca"]  # the class requires TLS
    return {**config, "class": data_class, "callers": str(callers_file(folder, data_class))}


def _working(data_class: str, own: Servers) -> dict[str, Any]:
    """A route to the class's model."""
    place = _place(data_class, own.sidecar)
    return {"workload": f"{data_class}-chat", **place, "interfaces": ["responses", "messages"]}


def _targets(data_class: str, own: Servers) -> dict[str, dict[str, Any]]:
    """The place of each kind of workload, with its other places."""
    unreachable = _place(data_class, None)
    second = {
        **_place(data_class, own.sidecar, SPARE_MODEL),
        "url": f"https://{SECOND_ADDRESS}:{own.sidecar.port}",
    }
    targets: dict[str, dict[str, Any]] = {
        "chat": _place(data_class, own.sidecar),
        "embed": {**_place(data_class, own.sidecar, "bge"), "task": "embedding"},
        "down": unreachable,
        "both-down": {**unreachable, "canary": {**_place(data_class, None), "percent": 50.0}},
        "overflow": unreachable,
        "fallback": {**unreachable, "fallback": [second]},
    }
    if own.translator is not None:
        cloud = _place(data_class, own.translator, "haiku", "translator")
        targets["cloud"] = cloud
        targets["overflow"] = {**unreachable, "overflow": cloud}
        targets["fallback-cloud"] = {**unreachable, "fallback": [cloud]}
    return targets


def _foreign_places(data_class: str, servers: Mapping[str, Servers]) -> dict[str, dict[str, str]]:
    """The places of other classes, by the class, or by the class and `-cloud`."""
    places: dict[str, dict[str, str]] = {}
    for other, behind in servers.items():
        if other == data_class:
            continue
        places[other] = _place(other, behind.sidecar)
        if behind.translator is not None:
            places[f"{other}-cloud"] = _place(other, behind.translator, "haiku", "translator")
    return places


def _place(data_class: str, edge: Edge | None, model: str = MODEL, kind: str = "sidecar") -> dict[str, str]:
    """A model at a process of a class. None: at a port at which nothing listens."""
    url = edge.url if edge else f"https://127.0.0.1:{free_port()}"
    return {"url": url, "server_name": server_name(data_class, kind), "model": model}


def _listen(folder: Path, leaf: str) -> dict[str, str]:
    return {
        "certificate": str(folder / f"{leaf}.crt"),
        "key": str(folder / f"{leaf}.key"),
        "client_ca": str(folder / "ca.crt"),
    }
