"""Held answers as rendered, run: the real gateway, the process where people decide, sidecar and sealer by their own
files, on a real PostgreSQL. Only what a cluster would have given is put in its place: paths, ports, addresses; and of a
cluster in AWS the identity that its agent hands out to the sealer. No pod runs in EKS here."""

from __future__ import annotations

import hashlib
import io
import json
import math
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from components.llm_platform import LlmPlatform
from edge import reviewers
from edge.audit.seal_format import public_keys
from edge.audit.stores import S3Store
from edge.audit.verify import verify
from isthmus.contracts.platform.checked import CheckedPlatform
from tests import private
from tests.components.conftest import BUCKET, Engine, build, providers
from tests.components.platforms import DIGEST, bank, reviewed
from tests.components.rendered import read_config, send_to, shown
from tests.components.test_fargate_starts import TaskRole
from tests.edge.audit.harness import new_key
from tests.edge.certificates import Authority
from tests.edge.confidence.making import calibration
from tests.edge.conftest import bearer
from tests.edge.counted import SALT_KEY, GatewayDatabase
from tests.edge.fake_model import FakeModel
from tests.edge.issuer import ISSUER, Issuer
from tests.edge.postgres import Door, Postgres
from tests.edge.processes import Edge, free_port

SECRET, SAID = "IBAN DE02 1203", "Paid to Muster"
SIGN_ON = {
    **{"issuer": ISSUER, "address": "10.40.0.12", "clients": ["reviews"]},
    "keys": {"config_map": "sign-on-keys"},
}
DESK: dict[str, Any] = {
    **{"url": "https://reviews.bank.example", "from_namespaces": ["ingress"]},
    "groups": [{"name": "desk", "groups": ["crime-desk"], "domains": ["onboarding"], "role": "reviewer"}],
    "guidelines": [{"name": "all", "workloads": ["transaction-narratives"], "text": "Compare each name."}],
}
ERIKA, CLIENT = "erika@bank.example", "erika.people.bank.example"


@dataclass(frozen=True)
class Rendered:
    """A class at a site, whose answers are of high impact, held and scored."""

    engine: Engine
    name: str
    """Of its parts."""
    held: str
    """The class."""
    workload: str
    sidecar: str
    """Configuration of its model's."""
    model: str
    database: str
    """Name of its PostgreSQL."""
    sha256: str
    """Of its calibration."""
    approvals: int
    """People whom the class takes."""

    @property
    def space(self) -> str:
        return f"isthmus-{self.held}.svc"


def scored(gateway: dict[str, Any], model: str, domain: str) -> str:
    """The gateway's workload has a calibration, whose digest is given back."""
    text = json.dumps(calibration(model, model_digest=DIGEST, domain=domain))
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    stated_calibration = {"name": "text", "file": "text.json", "text": text, "digest": digest}
    gateway["workloads"][0]["calibrations"] = [stated_calibration]
    return digest


def on_prem() -> Rendered:
    """The bank's restricted answers."""
    engine = Engine()
    platform = reviewed(bank(), at=0, reviewers=[{"name": ERIKA, "client": CLIENT}], keep_days=30, desk=DESK)
    platform["people"] = {"sign_on": SIGN_ON}
    platform["images"]["sign_on"] = platform["images"]["edge"]
    sha256 = scored(platform["gateways"][0], "meta-llama/Llama-3.3-70B-Instruct", "onboarding")
    build(engine, platform)
    return Rendered(
        *(engine, "isthmus-fra1-restricted", "restricted", "transaction-narratives"),
        *("isthmus-restricted-llama-70b-config", "restricted-llama-70b", "postgres.fra1.bank.example"),
        *(sha256, 2),
    )


def in_eks() -> Rendered:
    """An insurer's confidential answers, in a cluster in AWS."""
    engine = Engine()
    platform = private.reviewed(reviewers=[{"name": ERIKA, "client": CLIENT}], keep_days=30)
    sha256 = scored(platform["gateways"][0], "Qwen/Qwen3-14B", "claims")
    checked = CheckedPlatform.model_validate(platform)
    engine.run(lambda: LlmPlatform("insurer", checked, providers("frankfurt", "frankfurt/kubernetes")))
    return Rendered(
        *(engine, "insurer-frankfurt-confidential", "confidential", "claim-summaries"),
        *("insurer-claims-config", "claims", "postgres.insurer.example"),
        *(sha256, 1),
    )


@pytest.fixture(scope="module", params=[on_prem, in_eks], ids=["on-prem", "eks"])
def rendered(request: pytest.FixtureRequest) -> Rendered:
    return request.param()


@dataclass
class Site:
    """The processes, and who may speak to them."""

    gateway: Edge
    desk: Edge
    store: S3Store
    public: bytes
    kept: GatewayDatabase
    folder: Path
    people: Authority
    held: str
    """The class."""
    issuer: Issuer
    """Who signs the tokens of people at the desk."""
    pages: str
    """Where the desk answers; empty: it has none."""

    def page(self, path: str, *groups: str) -> httpx.Response:
        """A page of the desk, as somebody of these groups gets it through the sign-on's proxy."""
        claims = {
            "sub": "berta",
            "email": "berta@bank.example",
            "azp": "reviews",
            "auth_time": int(time.time()),
        }
        token = {"x-forwarded-access-token": self.issuer.token(list(groups), **claims)}
        context = ssl.create_default_context(cafile=str(self.kept.authority.path))
        with httpx.Client(base_url=self.pages, verify=context, trust_env=False, timeout=20) as client:
            return client.get(path, headers=token)

    def client(self, edge: Edge, authority: Authority, person: str) -> httpx.Client:
        """Believes the site's authority, and shows a certificate of one's own."""
        context = ssl.create_default_context(cafile=str(self.kept.authority.path))
        context.load_cert_chain(authority.folder / f"{person}.crt", authority.folder / f"{person}.key")
        return httpx.Client(base_url=edge.url, verify=context, trust_env=False, timeout=20)

    def reviewer(self, name: str) -> str:
        """A key, as `python -m edge.reviewers issue` prints it."""
        file = self.folder / "admin.yaml"
        YAML().dump(self.kept.postgres.administrator(self.kept.database), file)
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = reviewers.main(
                ["--database", str(file), "issue", "--reviewer", name, "--class", self.held]
            )
        assert code == 0, err.getvalue()
        return out.getvalue().strip()


@contextmanager
def site(rendered: Rendered, folder: Path, s3: Any) -> Iterator[Site]:
    """All of it up and well; ended in order, the sealer last."""
    with ExitStack() as ending:
        postgres = Postgres()
        ending.callback(postgres.stop)
        authority, people = Authority(folder / "authority"), Authority(folder / "people", "people-ca")
        authority.issue("app", "app.claims.svc")
        people.issue("erika", CLIENT)
        people.issue("anna", "anna.people.bank.example")
        # As the rendered files have them: one database, and a user for each of the two.
        postgres.ask("CREATE DATABASE isthmus")
        for user in ("gateway", "reviews"):
            postgres.ask(f"CREATE ROLE {user} LOGIN PASSWORD '{user}-s3cret'")
        door = Door(postgres, *authority.issue("postgres", rendered.database))
        ending.callback(door.close)
        content_keys = GatewayDatabase(folder, postgres, "isthmus", authority, door)
        content_keys.keys("migrate", "--gateway-user", "gateway", "--reviews-user", "reviews")

        issuer, pages = Issuer(), ""
        private, public = new_key()
        keys = {"sealer.pem": public, "site.key": b"ab" * 32, "wrapping.key": b"cd" * 32}
        ca = {"ca.crt": authority.path.read_bytes()}
        secrets: dict[str, dict[str, bytes]] = {
            "callers": {"password": b"gateway-s3cret", "salt": SALT_KEY.encode(), **ca},
            "audit": keys,
            "reviews": {"password": b"reviews-s3cret", **keys, **ca},
            "reviewers": {"ca.crt": people.path.read_bytes()},
            "sign-on": {"jwks.json": issuer.published().encode()},
            "calibrations": {
                name: text.encode()
                for name, text in rendered.engine.only("ConfigMap", f"{rendered.name}-gateway-calibrations")
                .inputs["data"]
                .items()
            },
            "sealer": {
                "sealer.key.pem": private,
                "credentials": b"[default]\naws_access_key_id = a\naws_secret_access_key = b\n",
                **ca,
            },
        }
        for name, files in secrets.items():
            (folder / name).mkdir()
            for file, content in files.items():
                (folder / name / file).write_bytes(content)
        for name in ("share/records", "share/seals", "held-keys"):
            (folder / name).mkdir(parents=True)
        volumes = {
            "/var/lib/isthmus/audit-keys": folder / "held-keys",
            "/var/lib/isthmus/audit": folder / "share",
        }

        def read(name: str, tls: str | None = None, namespace: str = rendered.space) -> Any:
            mounted = {**volumes, **{f"/etc/isthmus/{secret}": folder / secret for secret in secrets}}
            if tls is not None:
                mounted["/etc/isthmus/tls"] = shown(authority, folder / f"{tls}-tls", tls, namespace)
            config = read_config(rendered.engine, name, mounted)
            if "database" in config:
                assert config["database"]["host"] == rendered.database
                config["database"] |= {"host": "127.0.0.1", "port": door.port}
            return config

        model = FakeModel()
        model.logprobs = [math.log(0.9)] * len(model.words)
        ending.callback(model.server_close)
        ending.callback(model.shutdown)
        sealing = read(f"{rendered.name}-sealer-config")
        sealing["store"] |= {"endpoint": s3.meta.endpoint_url, "bucket": BUCKET}
        by_place: dict[str, str] = {}
        if "credentials" not in sealing["store"]:
            agent = TaskRole()
            ending.callback(agent.server_close)
            ending.callback(agent.shutdown)
            (folder / "token").write_text("of-the-pod")
            by_place = {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{agent.server_port}/v1/credentials",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(folder / "token"),
            }
        running = [Edge(folder / "run-sealer", sealing, by_place)]
        ending.callback(lambda: [process.stop() for process in (*running[1:], running[0])])
        behind = read(rendered.sidecar, rendered.model)
        behind["upstream"] = model.url
        running.append(Edge(folder / "run-sidecar", behind))
        front = read(f"{rendered.name}-gateway-config", f"{rendered.held}-gateway")
        send_to(front["routes"][0], running[-1].url)
        running.append(Edge(folder / "run-gateway", front))
        apart = f"isthmus-{rendered.held}-reviews.svc"
        desk = read(f"{rendered.name}-reviews-config", f"{rendered.held}-reviews", apart)
        if "desk" in desk:
            desk["desk"]["listen"] |= {"host": "127.0.0.1", "port": free_port()}
            pages = f"https://127.0.0.1:{desk['desk']['listen']['port']}"
        running.append(Edge(folder / "run-reviews", desk))
        for process in running:
            process.wait_until_up().wait_until_well()
        store = S3Store(s3, BUCKET, sealing["store"]["prefix"])
        yield Site(
            *(running[2], running[3], store, public, content_keys, folder, people, rendered.held),
            *(issuer, pages),
        )
        assert [process.stop() for process in (*running[1:], running[0])] == [0, 0, 0, 0]


def test_a_rendered_answer_of_high_impact_is_given_out_when_as_many_as_its_class_asks_for_have_approved_it(
    rendered: Rendered, tmp_path: Path, s3: Any
) -> None:
    with ExitStack() as ending:
        running = ending.enter_context(site(rendered, tmp_path, s3))
        key = bearer(running.kept.issue(rendered.workload, rendered.held))
        application = ending.enter_context(running.client(running.gateway, running.kept.authority, "app"))
        erika = ending.enter_context(running.client(running.desk, running.people, "erika"))
        anna = ending.enter_context(running.client(running.desk, running.people, "anna"))
        anna.headers["authorization"] = f"Bearer {running.reviewer('anna@bank.example')}"

        request = {"model": rendered.workload, "messages": [{"role": "user", "content": SECRET}]}
        answer = application.post("/v1/chat/completions", json=request, headers=key)
        assert (answer.status_code, answer.json()["status"]) == (202, "held"), answer.text
        assert SAID not in answer.text
        where = answer.headers["location"]

        stranger = running.client(running.desk, running.kept.authority, "app")
        with stranger, pytest.raises(httpx.HTTPError):
            stranger.get("/v1/reviews")
        if running.pages:
            waiting = running.page("/", "crime-desk")
            assert waiting.status_code == 200, waiting.text
            assert rendered.workload in waiting.text
            assert SAID not in waiting.text, "nobody has claimed it"
            assert running.page("/", "kyc-desk").status_code == 403
        for number, person in enumerate((erika, anna)[: rendered.approvals]):
            assert application.get(where, headers=key).status_code == 202, f"{number} have approved"
            claimed = person.post(f"{where}/claim").json()
            assert SAID in json.dumps(claimed)
            version = {name: claimed[name] for name in ("version", "sha256")}
            approved = person.post(f"{where}/approve", json=version)
            assert approved.status_code == 200, approved.text
        released = application.get(where, headers=key)
        assert (released.status_code, released.headers["x-isthmus-review"]) == (200, "approved"), (
            released.text
        )
        assert released.json()["choices"][0]["message"]["content"].startswith(SAID)
    records: list[dict[str, Any]] = []
    proof = verify(
        running.store,
        public_keys([running.public]),
        now=datetime.now(UTC),
        on_record=lambda record, _: records.append(record),
    )
    assert (proof.findings, proof.unfinished) == ([], {})
    acts = [
        (record["act"], record["who"].get("reviewer")) for record in records if record["kind"] == "review"
    ]
    decided = (ERIKA, "anna@bank.example")[: rendered.approvals]
    expected = [*((act, reviewer) for reviewer in decided for act in ("claim", "approve")), ("give", None)]
    assert sorted(acts, key=str) == sorted(expected, key=str)
    (outcome,) = [record for record in records if record["kind"] == "outcome"]
    # One answer of a hundred is also sampled.
    assert [reason for reason in outcome["held"]["why"] if reason != "sampled"] == ["impact"]
    assert outcome["confidence"]["score"] == pytest.approx(0.9, abs=0.001), (
        "by the calibration that was mounted"
    )
    assert rendered.sha256 in outcome["confidence"].values(), (
        "whose digest is that of the file in the repository"
    )
    assert SECRET not in json.dumps(records)
