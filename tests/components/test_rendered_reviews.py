"""Held answers as rendered, run: the real gateway, the process where people decide, sidecar and sealer by their own
files, on a real PostgreSQL. Only what a cluster would have given is put in its place: paths, ports, addresses."""

from __future__ import annotations

import hashlib
import io
import json
import math
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from edge import reviewers
from edge.audit.seal_format import public_keys
from edge.audit.stores import S3Store
from edge.audit.verify import verify
from tests.components.conftest import BUCKET, Engine, build
from tests.components.platforms import DIGEST, bank, reviewed
from tests.components.rendered import shown, told
from tests.edge.audit.harness import new_key
from tests.edge.certificates import Authority
from tests.edge.confidence.making import calibration
from tests.edge.conftest import bearer
from tests.edge.counted import SALT_KEY, Kept
from tests.edge.fake_model import FakeModel
from tests.edge.postgres import Door, Postgres
from tests.edge.processes import Edge

WORKLOAD, SECRET, SAID = "transaction-narratives", "IBAN DE02 1203", "Paid to Muster"
MODEL = "meta-llama/Llama-3.3-70B-Instruct"
SPACE, DESK_SPACE = "isthmus-restricted.svc", "isthmus-restricted-reviews.svc"
ERIKA, CLIENT = "erika@bank.example", "erika.people.bank.example"
TEXT = json.dumps(calibration(MODEL, model_digest=DIGEST, domain="onboarding"))
SHA256 = f"sha256:{hashlib.sha256(TEXT.encode()).hexdigest()}"
NAME = "isthmus-fra1-restricted"


@pytest.fixture(scope="module")
def rendered() -> Engine:
    """The bank, whose restricted answers are of high impact, held and scored."""
    made = Engine()
    platform = reviewed(bank(), at=0, reviewers=[{"name": ERIKA, "client": CLIENT}], keep_days=30)
    platform["gateways"][0]["workloads"][0]["calibrations"] = [
        {
            **{"name": "llama-text", "file": "llama-text.json", "text": TEXT},
            "digest": SHA256,
        }
    ]
    build(made, platform)
    return made


@dataclass
class Site:
    """The processes, and who may speak to them."""

    gateway: Edge
    desk: Edge
    store: S3Store
    public: bytes
    kept: Kept
    folder: Path
    people: Authority

    def client(self, edge: Edge, authority: Authority, who: str) -> httpx.Client:
        """Believes the site's authority, and shows a certificate of one's own."""
        context = ssl.create_default_context(cafile=str(self.kept.authority.path))
        context.load_cert_chain(authority.folder / f"{who}.crt", authority.folder / f"{who}.key")
        return httpx.Client(base_url=edge.url, verify=context, trust_env=False, timeout=20)

    def reviewer(self, name: str) -> str:
        """A key, as `python -m edge.reviewers issue` prints it."""
        file = self.folder / "admin.yaml"
        YAML().dump(self.kept.postgres.administrator(self.kept.database), file)
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = reviewers.main(
                ["--database", str(file), "issue", "--reviewer", name, "--class", "restricted"]
            )
        assert code == 0, err.getvalue()
        return out.getvalue().strip()


@contextmanager
def site(rendered: Engine, folder: Path, s3: Any) -> Iterator[Site]:
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
        door = Door(postgres, *authority.issue("postgres", "postgres.fra1.bank.example"))
        ending.callback(door.close)
        kept = Kept(folder, postgres, "isthmus", authority, door)
        kept.keys("migrate", "--gateway-user", "gateway", "--reviews-user", "reviews")

        private, public = new_key()
        keys = {"sealer.pem": public, "site.key": b"ab" * 32, "wrapping.key": b"cd" * 32}
        ca = {"ca.crt": authority.path.read_bytes()}
        secrets: dict[str, dict[str, bytes]] = {
            "callers": {"password": b"gateway-s3cret", "salt": SALT_KEY.encode(), **ca},
            "audit": keys,
            "reviews": {"password": b"reviews-s3cret", **keys, **ca},
            "reviewers": {"ca.crt": people.path.read_bytes()},
            "calibrations": {
                name: text.encode()
                for name, text in rendered.only("ConfigMap", f"{NAME}-gateway-calibrations")
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

        def read(name: str, tls: str | None = None, space: str = SPACE) -> Any:
            mounted = {**volumes, **{f"/etc/isthmus/{each}": folder / each for each in secrets}}
            if tls is not None:
                mounted["/etc/isthmus/tls"] = shown(authority, folder / f"{tls}-tls", tls, space)
            said = told(rendered, name, mounted)
            if "database" in said:
                assert said["database"]["host"] == "postgres.fra1.bank.example"
                said["database"] |= {"host": "127.0.0.1", "port": door.port}
            return said

        model = FakeModel()
        model.logprobs = [math.log(0.9)] * len(model.words)
        ending.callback(model.server_close)
        ending.callback(model.shutdown)
        sealing = read(f"{NAME}-sealer-config")
        sealing["store"]["endpoint"] = s3.meta.endpoint_url
        running = [Edge(folder / "run-sealer", sealing)]
        ending.callback(lambda: [each.stop() for each in (*running[1:], running[0])])
        behind = read("isthmus-restricted-llama-70b-config", "restricted-llama-70b")
        behind["upstream"] = model.url
        running.append(Edge(folder / "run-sidecar", behind))
        front = read(f"{NAME}-gateway-config", "restricted-gateway")
        front["routes"][0]["url"] = running[-1].url
        running.append(Edge(folder / "run-gateway", front))
        desk = read(f"{NAME}-reviews-config", "restricted-reviews", DESK_SPACE)
        running.append(Edge(folder / "run-reviews", desk))
        for each in running:
            each.wait_until_up().wait_until_well()
        store = S3Store(s3, BUCKET, sealing["store"]["prefix"])
        yield Site(running[2], running[3], store, public, kept, folder, people)
        assert [each.stop() for each in (*running[1:], running[0])] == [0, 0, 0, 0]


def test_a_rendered_answer_of_high_impact_is_given_out_when_two_people_have_approved_it(
    rendered: Engine, tmp_path: Path, s3: Any
) -> None:
    with ExitStack() as ending:
        running = ending.enter_context(site(rendered, tmp_path, s3))
        key = bearer(running.kept.issue(WORKLOAD, "restricted"))
        application = ending.enter_context(running.client(running.gateway, running.kept.authority, "app"))
        erika = ending.enter_context(running.client(running.desk, running.people, "erika"))
        anna = ending.enter_context(running.client(running.desk, running.people, "anna"))
        anna.headers["authorization"] = f"Bearer {running.reviewer('anna@bank.example')}"

        asked = {"model": WORKLOAD, "messages": [{"role": "user", "content": SECRET}]}
        answer = application.post("/v1/chat/completions", json=asked, headers=key)
        assert (answer.status_code, answer.json()["status"]) == (202, "held"), answer.text
        assert SAID not in answer.text
        where = answer.headers["location"]

        stranger = running.client(running.desk, running.kept.authority, "app")
        with stranger, pytest.raises(httpx.HTTPError):
            stranger.get("/v1/reviews")
        for number, person in enumerate((erika, anna)):
            assert application.get(where, headers=key).status_code == 202, f"{number} of 2 have approved"
            claimed = person.post(f"{where}/claim").json()
            assert SAID in json.dumps(claimed)
            said = {name: claimed[name] for name in ("version", "sha256")}
            approved = person.post(f"{where}/approve", json=said)
            assert approved.status_code == 200, approved.text
        given = application.get(where, headers=key)
        assert (given.status_code, given.headers["x-isthmus-review"]) == (200, "approved"), given.text
        assert given.json()["choices"][0]["message"]["content"].startswith(SAID)
    records: list[dict[str, Any]] = []
    proof = verify(
        running.store,
        public_keys([running.public]),
        now=datetime.now(UTC),
        on_record=lambda record, _: records.append(record),
    )
    assert (proof.findings, proof.unfinished) == ([], {})
    acts = [(each["act"], each["who"].get("reviewer")) for each in records if each["kind"] == "review"]
    assert sorted(acts) == sorted(
        [
            *(("claim", ERIKA), ("approve", ERIKA)),
            *(("claim", "anna@bank.example"), ("approve", "anna@bank.example"), ("give", None)),
        ]
    )
    (outcome,) = [each for each in records if each["kind"] == "outcome"]
    assert outcome["held"]["why"] == ["impact"]
    assert outcome["confidence"]["score"] == pytest.approx(0.9, abs=0.001), (
        "by the calibration that was mounted"
    )
    assert SHA256 in outcome["confidence"].values(), "whose digest is that of the file in the repository"
    assert SECRET not in json.dumps(records)
