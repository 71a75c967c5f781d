"""Fixture: gateways with records, on the shared sidecar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.edge.audit.audited import Audited, on_a_small_disk, seen_at, settings
from tests.edge.audit.harness import AuditSite
from tests.edge.conftest import Site, gateway_config
from tests.edge.processes import Edge


@pytest.fixture(scope="module")
def start(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Audited]]:
    """Starts gateways in front of the shared sidecar, each with its own records."""
    started: list[Audited] = []

    def begin(small_disk: bool = False, **more: Any) -> Audited:
        folder = tmp_path_factory.mktemp("audited")
        audit_site = AuditSite.at(folder)
        config = gateway_config(site.folder, site.sidecar.port)
        for route in config["routes"]:
            route.update(
                target="onprem-vllm", model_digest="sha256:" + "1" * 64, gpus=1, usd_per_gpu_hour=3.6
            )
        down = config["routes"][2]
        down["also"] = [{**down, "server_name": "other.svc", "target": "eks-vllm"}]
        for key in ("workload", "also"):
            down["also"][0].pop(key, None)
        config["audit"] = settings(folder, audit_site, **more)
        within = on_a_small_disk(audit_site) if small_disk else []
        gateway = Edge(folder / "gateway", config, within=within).wait_until_up()
        records = seen_at(audit_site, gateway) if small_disk else audit_site.records
        client = httpx.Client(
            base_url=gateway.url, verify=site.authority.client("app"), trust_env=False, timeout=20
        )
        started.append(Audited(gateway, audit_site, client, records))
        return started[-1]

    yield begin
    for audited_gateway in started:
        audited_gateway.client.close()
        audited_gateway.gateway.process.kill()
        audited_gateway.gateway.process.wait(10)
