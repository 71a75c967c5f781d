"""What the components render, run: the real gateway, sidecar and sealer by their own files, in front of a store with
Object Lock. Only what a cluster would have given is put in its place: paths, ports, addresses."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from edge.audit.seal_format import public_keys
from edge.audit.stores import S3Store
from edge.audit.verify import verify
from tests.components.conftest import BUCKET, Engine
from tests.components.platforms import DIGEST
from tests.components.rendered import gateway_mounts, read_config, send_to, shown
from tests.edge.certificates import Authority
from tests.edge.conftest import bearer
from tests.edge.fake_model import FakeModel
from tests.edge.processes import Edge

WORKLOAD, KEY = "kyc-extraction", "key-of-kyc"
SPACE = "isthmus-confidential.svc"


def test_the_rendered_gateway_records_what_the_rendered_sealer_seals(
    built: Engine, tmp_path: Path, s3: Any
) -> None:
    authority = Authority(tmp_path)
    authority.issue("app", "app.claims.svc")
    mounts = gateway_mounts(tmp_path, authority, {WORKLOAD: KEY})
    sealing = read_config(built, "isthmus-fra1-confidential-sealer-config", mounts.sealer)
    sealing["store"]["endpoint"] = s3.meta.endpoint_url
    behind = read_config(
        built,
        "isthmus-confidential-llama-8b-config",
        {"/etc/isthmus/tls": shown(authority, tmp_path / "model-tls", "confidential-llama-8b", SPACE)},
    )
    model = FakeModel()
    behind["upstream"] = model.url
    running: list[Edge] = []
    try:
        sidecar = Edge(tmp_path / "run-sidecar", behind)
        running += [sidecar, Edge(tmp_path / "run-sealer", sealing)]
        front = read_config(
            built,
            "isthmus-fra1-confidential-gateway-config",
            {
                **mounts.gateway,
                "/etc/isthmus/tls": shown(authority, tmp_path / "gateway-tls", "confidential-gateway", SPACE),
            },
        )
        send_to(front["routes"][0], f"https://127.0.0.1:{sidecar.port}")
        gateway = Edge(tmp_path / "run-gateway", front)
        running.append(gateway)
        for process in running:
            process.wait_until_up().wait_until_well()
        request = {"model": WORKLOAD, "messages": [{"role": "user", "content": "IBAN DE02"}]}
        with httpx.Client(verify=authority.client("app"), trust_env=False, timeout=20) as client:
            answer = client.post(f"{gateway.url}/v1/chat/completions", json=request, headers=bearer(KEY))
        assert answer.status_code == 200, answer.text
    finally:
        # The sealer last: what the gateway wrote at its end is sealed too.
        codes = [process.stop() for process in (*running[2:], *running[:2])]
        model.shutdown()
        model.server_close()
    assert codes == [0, 0, 0]
    records: list[dict[str, Any]] = []
    proof = verify(
        S3Store(s3, BUCKET, sealing["store"]["prefix"]),
        public_keys([mounts.public]),
        now=datetime.now(UTC),
        on_record=lambda record, _: records.append(record),
    )
    assert (proof.findings, proof.unfinished) == ([], {})
    assert [record["kind"] for record in records] == ["open", "intent", "outcome", "close"]
    (intent,) = [record for record in records if record["kind"] == "intent"]
    assert intent["policy"] == front["audit"]["policy"]
    where = {key: intent["to"][key] for key in ("server", "target", "digest")}
    server = f"confidential-llama-8b.{SPACE}"
    assert where == {"server": server, "target": "onprem-vllm", "digest": DIGEST}, "a report can place it"
    assert "IBAN" not in json.dumps(records)
