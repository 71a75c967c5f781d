"""The sealer in AWS, run with exactly what its task definition or its pod gives it, on an S3 with Object Lock.

No task is run on Fargate and no pod in EKS. Edge and sealer run as processes of this machine; the share is two folders
of it, and S3 is moto's: the address, folders and ports alone are others than rendered. What hands out a role's
credentials is the tests' own.
"""

from __future__ import annotations

import json
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from filelock import FileLock
from ruamel.yaml import YAML

from components.cluster.edge_files import RECORDS, SEALS
from components.gateway.fargate.gateway import FargateGateway, translator_host
from components.llm_platform import LlmPlatform
from edge.audit.seal_format import public_keys
from edge.audit.stores import S3Store
from edge.audit.verify import verify
from tests import private
from tests.components.conftest import Engine, providers
from tests.components.fargate import HOST, gateway_args, secret
from tests.components.test_fargate_starts import KEY, Running, TaskRole, _vault, running
from tests.edge.audit.harness import new_key
from tests.edge.certificates import Authority
from tests.edge.issuer import AUDIENCE, ISSUER, Issuer
from tests.edge.processes import Edge
from tests.s3_service import client, s3_service

pytestmark = pytest.mark.service
PREFIX = "frankfurt/internal"
AUDIT: dict[str, Any] = {
    **{"secret": secret("internal-audit"), "sealer_secret": secret("internal-sealer")},
    "share": {
        **{"file_system": "fs-1", "group": "sg-share"},
        "access_points": {
            f"{owner}-{folder}": f"fsap-{owner}-{folder}"
            for owner in ("gateway", "sealer")
            for folder in ("records", "seals")
        },
    },
    "task_role": "arn:aws:iam::111122223333:role/mounts",
    "sealer_role": "arn:aws:iam::111122223333:role/seals",
}


SIGN_ON: dict[str, Any] = {
    "tokens": {
        **{"issuer": ISSUER, "audiences": [AUDIENCE], "through": ["app.insurer.internal"]},
        **{"jwks_file": "env:EDGE_SIGN_ON_KEYS", "workloads": [{"workload": "claims", "groups": ["clerks"]}]},
    },
    "keys_secret": secret("sign-on"),
}


@dataclass
class Store:
    s3: Any
    url: str
    bucket: str

    @property
    def seals(self) -> S3Store:
        return S3Store(self.s3, self.bucket, PREFIX)

    @property
    def objects(self) -> list[bytes]:
        """All that lies in it, whoever put it there."""
        objects = self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return [
            self.s3.get_object(Bucket=self.bucket, Key=object_["Key"])["Body"].read() for object_ in objects
        ]

    def proof(self, public: bytes, **volumes: Any) -> Any:
        return verify(self.seals, public_keys([public]), now=datetime.now(UTC), **volumes)


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    # moto has one memory for all of its services in a process.
    name = f"audit-{zlib.crc32(request.node.name.encode())}"
    with s3_service() as url:
        s3 = client(url)
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        yield Store(s3, url, name)


@pytest.fixture
def role() -> Iterator[TaskRole]:
    task_role = TaskRole()
    yield task_role
    task_role.shutdown()
    task_role.server_close()


def within(text: str, folder: Path) -> str:
    """With the share's folders as folders of this machine."""
    for path, name in ((RECORDS, "records"), (SEALS, "seals")):
        (folder / name).mkdir(exist_ok=True)
        text = text.replace(path, str(folder / name))
    return text


def eventually(holds: Callable[[], Any], *processes: Running) -> Any:
    end = time.monotonic() + 90
    while not (outcome := holds()):
        assert time.monotonic() < end, "".join(process.output.read_text() for process in processes)
        time.sleep(0.2)
    return outcome


def test_on_fargate_records_are_sealed_with_the_task_role_into_a_locked_store(
    engine: Engine, tmp_path: Path, store: Store, role: TaskRole
):
    authority = Authority(tmp_path / "ca")
    authority.issue("gateway", HOST)
    authority.issue("translator", translator_host(HOST, "internal"))
    authority.issue("app", "app.insurer.internal")
    (private_key, public_key), issuer = new_key(), Issuer()
    vault = _vault(authority) | {
        secret("internal-audit"): json.dumps({"seal_key": public_key.decode(), "site_key": "ab" * 32}),
        secret("internal-sealer"): json.dumps({"signing_key": private_key.decode()}),
        secret("sign-on"): issuer.published(),
    }
    audit = {**AUDIT, "store": {"bucket": store.bucket, "prefix": PREFIX, "retention_days": 366}}
    starts = {"sealer": "arn:aws:iam::111122223333:role/sealer-start", **gateway_args()["execution_roles"]}
    arguments = gateway_args(audit=audit, execution_roles=starts, sign_on=SIGN_ON)
    engine.deploy(FargateGateway, "gw", arguments)
    edge, sealer = (
        within(engine.only("TaskDefinition", f"gw-{task}-task").inputs["containerDefinitions"], tmp_path)
        for task in ("edge", "sealer")
    )
    assert "endpoint:" not in sealer, "S3 itself, by its own name"
    sealer = sealer.replace("store:\\n  region", f"store:\\n  endpoint: {store.url}\\n  region")
    credentials = f"http://127.0.0.1:{role.server_port}/v2/credentials/task"
    by_place = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": credentials, "AWS_ACCESS_KEY_ID": "AKIAOTHER"}
    # The ports are the definitions' own: one run at a time on this machine; they share a health port, so one by one.
    with FileLock(Path(tempfile.gettempdir()) / "isthmus-fargate-ports.lock"), ExitStack() as apart:
        moved = sealer.replace("port: 9090", "port: 9098").replace(":9090/live", ":9098/live")
        second = apart.enter_context(running(moved, vault, by_place, tmp_path))
        first = apart.enter_context(running(edge, vault, {"TMPDIR": "/dev/shm"}, tmp_path))
        eventually(lambda: first.healthy() and second.healthy(), first, second)
        with httpx.Client(
            base_url="https://127.0.0.1:8443", verify=authority.client("app"), trust_env=False, timeout=60
        ) as app:
            request = {"model": "claims", "messages": [{"role": "user", "content": "Is hail covered?"}]}
            headers = {"authorization": f"Bearer {KEY}"}

            def served_answer() -> httpx.Response | None:
                post = app.post("/v1/chat/completions", json=request, headers=headers)
                return post if "audit" not in post.text else None

            # Its translator is not there; that this is on record is what matters here.
            assert eventually(served_answer, first, second).status_code >= 500
            # People come by tokens whose keys are in a secret, where the platform says so.
            for token, expected in (
                (issuer.token(["clerks"]), "model_unavailable"),  # admitted
                (issuer.token(["others"]), "no_workload"),
                (Issuer().token(["clerks"]), "unknown_token_key"),
            ):
                by_token = {"authorization": f"Bearer {token}"}
                sent = app.post("/v1/chat/completions", json=request, headers=by_token)
                assert sent.json()["error"]["code"] == expected
    proof = store.proof(public_key, records=tmp_path / "records", seals=tmp_path / "seals")
    assert proof.findings == []
    assert proof.records >= 2, "the writer's opening, and the request"
    seals = store.seals
    assert all(seals.locked_until(name) for name in seals.names("seals/"))
    assert role.asked
    assert set(role.asked) == {"/v2/credentials/task"}, "by the task's role, and by no key beside it"
    assert b"Is hail covered" not in b"".join(store.objects)


def test_in_eks_the_sealer_seals_with_its_pod_identity(
    engine: Engine, tmp_path: Path, store: Store, role: TaskRole
):
    platform = private.platform()
    engine.run(lambda: LlmPlatform("insurer", platform, providers("frankfurt", "frankfurt/kubernetes")))
    text = engine.only("ConfigMap", "insurer-frankfurt-internal-sealer-config").inputs["data"]["config.yaml"]
    config = YAML(typ="safe").load(within(text, tmp_path))
    private_key, public_key = new_key()
    (tmp_path / "sealer.key.pem").write_bytes(private_key)
    assert config["signing_key"] == "/etc/isthmus/sealer/sealer.key.pem"
    assert config["store"]["endpoint"] == "https://s3.eu-central-1.amazonaws.com"
    assert config["store"].keys() == {"endpoint", "region", "bucket", "prefix", "retention_days"}
    config["signing_key"] = str(tmp_path / "sealer.key.pem")
    config["store"] |= {"endpoint": store.url, "bucket": store.bucket}
    config["health"] = {}  # a free port of this machine
    token = tmp_path / "token"
    token.write_text("of-the-pod")
    agent = f"http://127.0.0.1:{role.server_port}/v1/credentials"
    by_place = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": agent,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        # Nothing is to be sealed with a machine's or a person's keys.
        "AWS_ACCESS_KEY_ID": "AKIAOTHER",
        "AWS_SECRET_ACCESS_KEY": "s",
    }
    sealer = Edge(tmp_path / "sealer", config, by_place).wait_until_up()
    sealer.wait_for_line("sealed", seal=1)
    assert sealer.stop() == 0
    assert store.proof(public_key).findings == []
    assert set(role.asked) == {"/v1/credentials"}


def test_without_an_identity_nothing_is_sealed(tmp_path: Path, store: Store):
    private_key, _ = new_key()
    (tmp_path / "sealer.key.pem").write_bytes(private_key)
    for name in ("records", "seals"):
        (tmp_path / name).mkdir()
    config = {
        **{"mode": "sealer", "class": "internal", "site": "frankfurt"},
        **{"records": str(tmp_path / "records"), "seals": str(tmp_path / "seals")},
        "signing_key": str(tmp_path / "sealer.key.pem"),
        "store": {
            **{"endpoint": store.url, "region": "eu-central-1", "bucket": store.bucket, "prefix": PREFIX},
            "retention_days": 366,
        },
        "health": {},
    }
    about = {"AWS_ACCESS_KEY_ID": "AKIAOTHER", "AWS_SECRET_ACCESS_KEY": "s"}
    sealer = Edge(tmp_path / "sealer", config, about).wait_until_up()
    assert "NoCredentialsError" in sealer.wait_for_line("seal_failed")["reason"]
    sealer.stop()
    assert store.objects == []
