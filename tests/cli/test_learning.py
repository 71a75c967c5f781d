"""What decisions teach, from end to end: answers of a gateway, people's decisions, the sealed record, the commands."""

from __future__ import annotations

import datetime
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edge.audit.records import canonical, digest
from edge.audit.seal_format import Signer
from edge.audit.verify import verify
from edge.confidence.calibration import read
from isthmus.contracts.requirements import document as requirements_document
from isthmus.core import yaml_files
from tests.cli.conftest import CommandResult, Isthmus
from tests.edge.confidence.making import written
from tests.edge.postgres import Postgres
from tests.edge.reviews.reviewed import Reviewed, reviewed

pytestmark = pytest.mark.service

WORKLOAD = "kyc-extraction"
"""Of the bank, class confidential at fra1."""
MODEL = "llama"
"""The name at the model server that `reviewed` starts."""
ANSWERS, BELOW = 210, 0.7
WORDS = ['{"iban": "', "CH1", '", "age": ', "42", "}"]
THRESHOLD = {
    **{"below": BELOW, "max_error": 0.5, "confidence": 0.95, "error_at_most": 0.5},
    **{"accepted": 500, "wrong": 20},
}
PERSON = "erika.mustermann"


@dataclass
class Decided:
    """A gateway of which people judged every answer."""

    site: Reviewed
    calibration: Path
    corrected: set[str]
    """Ids of corrected answers."""
    scores: dict[str, float]
    wrong: set[str]

    def store(self) -> tuple[str | Path, ...]:
        return self.site.audit_site.root / "store", "--public-key", self.site.folder / "seal.pem"

    def export(self, isthmus: Isthmus, project: Path, output: Path, **changes: str) -> CommandResult:
        folder, made = self.site.folder, self.site.made
        database = folder / "exporter.yaml"
        access = made.postgres.administrator(made.database)
        login = {"user": f"{made.database}_reviews", "password": str(folder / "reviews-password")}
        database.write_text(yaml_files.dumps({**access, **login}))
        until = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=20)
        options = {
            **{"--database": database, "--keys": folder / "keys", "--wrapping-key": folder / "wrapping.key"},
            **{"--volume": self.site.audit_site.root, "--by": "model-team", "--reason": "fine-tuning"},
            **{"--licence": "internal use", "--keep-until": until, "-o": output, "--project": project},
            **changes,
        }
        arguments = [str(part) for pair in options.items() for part in pair]
        return isthmus("audit", "corrections", "bank-dev", WORKLOAD, *self.store(), *arguments)

    def calibrate(self, isthmus: Isthmus, *more: str | Path) -> CommandResult:
        store, *keys = self.store()
        in_use = ("--workload", WORKLOAD, "--calibration", self.calibration, "--from", "2020-01-01")
        return isthmus("calibrate", "--from-reviews", store, *keys, *in_use, *more)


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decided]:
    folder, postgres = tmp_path_factory.mktemp("learning"), Postgres()
    calibration = written(folder, "fields", MODEL, "fields", threshold=THRESHOLD)
    rule = {"domain": "payments", "below_confidence": BELOW, "sample_rate": 1.0}
    workload = {
        **{"name": WORKLOAD, "impact": "material", "review": rule},
        "confidence": {"domain": "payments", "calibrations": [str(calibration)]},
    }
    try:
        with reviewed(folder, postgres, "learning", [workload], data_class="confidential") as site:
            decided_site = Decided(site, calibration, set(), {}, set())
            decide(decided_site, site.reviewer("anna@bank", data_class="confidential"))
            wait_until_sealed(site, ANSWERS)
            yield decided_site
    finally:
        postgres.stop()


def decide(decided_site: Decided, key: str) -> None:
    """Ask for answers of known measures, and decide on each."""
    random, site, model = Random(7), decided_site.site, decided_site.site.made.models[0]
    for _ in range(ANSWERS):
        measure = random.uniform(0.3, 0.99)
        model.words, model.logprobs = WORDS, [-9, math.log(measure), -9, -1e-5, -9]
        messages = [{"role": "user", "content": "Read the document", "name": PERSON}]
        answer = site.ask(WORKLOAD, messages=messages, user=PERSON, response_format={"type": "json_object"})
        assert answer.status_code == (202 if measure < BELOW else 200), answer.text
        name, is_right = answer.headers["x-request-id"], random.random() < measure + 0.15
        decided_site.scores[name] = round(measure, 4)
        more: dict[str, Any] = {} if is_right else {"reason": "wrong-amount"}
        act = "approve" if is_right else "reject"
        if not is_right:
            decided_site.wrong.add(name)
            if measure < BELOW and len(decided_site.corrected) < 12:
                decided_site.corrected.add(name)
                act, more["texts"] = "correct", ['{"iban": "CH2", "age": 42}']
        assert site.act(key, name, act, **more).status_code == 200


def wait_until_sealed(site: Reviewed, acts: int) -> None:
    """Wait until every act is in the store."""
    end = time.monotonic() + 20
    while True:
        kinds: list[str] = []
        verify(
            site.audit_site.store,
            Signer(site.audit_site.private).public,
            now=datetime.datetime.now(datetime.UTC),
            on_record=lambda record, _, kinds=kinds: kinds.append(record["kind"]),
        )
        if kinds.count("review") >= 2 * acts:
            return
        assert time.monotonic() < end, kinds.count("review")
        time.sleep(0.3)


def test_corrections_are_exported_with_lineage_and_without_names(
    decided: Decided, isthmus: Isthmus, project: Path, tmp_path: Path
):
    output = tmp_path / "corrections.jsonl"
    result = decided.export(isthmus, project, output)
    assert result.code == 0, result.err
    text = output.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["id"] for line in lines} == decided.corrected
    assert output.stat().st_mode & 0o077 == 0
    assert PERSON not in text
    assert "anna" not in text
    records = {digest(canonical(record)): record for record in sealed(decided)}
    for line in lines:
        assert line["answer"] == ["".join(WORDS)]
        assert line["correction"] == ['{"iban": "CH2", "age": 42}']
        assert line["request"]["messages"] == [{"role": "user", "content": "Read the document"}]
        assert (line["model"], line["reason"]) == (MODEL, "wrong-amount")
        correction = records[line["lineage"]["correction"]["record"]]
        assert (correction["act"], correction["id"]) == ("correct", line["id"])
        assert correction["sha256"] == line["lineage"]["correction_sha256"]
        assert records[line["lineage"]["outcome"]["record"]]["ran"]["digest"] == line["model_digest"]
    (exported,) = decided.site.records("export")
    assert (exported["by"], exported["answers"], exported["reason"]) == ("model-team", 12, "fine-tuning")
    assert exported["sha256"] == digest(output.read_bytes())
    again = decided.export(isthmus, project, output)
    assert (again.code, "the file exists" in again.err) == (2, True)


def sealed(decided: Decided) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    site = decided.site.audit_site
    proof = verify(
        site.store,
        Signer(site.private).public,
        now=datetime.datetime.now(datetime.UTC),
        on_record=lambda record, _: records.append(dict(record)),
    )
    assert proof.findings == []
    return records


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"--reason": "It is time"}, 2, "is no reason"),
        ({"--keep-until": "2020-01-01"}, 1, "is not after today"),
        ({"--keep-until": "2120-01-01"}, 1, "because the class keeps content so long"),
    ],
)
def test_an_export_needs_a_reason_and_an_end(
    decided: Decided,
    isthmus: Isthmus,
    project: Path,
    tmp_path: Path,
    changes: dict[str, str],
    code: int,
    message: str,
):
    before = len(decided.site.records("export"))
    result = decided.export(isthmus, project, tmp_path / "c.jsonl", **changes)
    assert (result.code, message in result.err) == (code, True), result.err
    assert list(tmp_path.glob("*.jsonl")) == []
    assert len(decided.site.records("export")) == before


def test_an_organisation_can_forbid_the_export(
    decided: Decided, isthmus: Isthmus, project: Path, tmp_path: Path
):
    requirements = next(project.rglob("bank-dev.requirements.yaml"))
    before = requirements_document.load(requirements).digest
    text = requirements.read_text() + "\nhandling: {confidential: {corrections_exported: false}}\n"
    requirements.write_text(text)
    plan = requirements.with_name("bank-dev.plan.yaml")
    digest_now = requirements_document.load(requirements).digest
    plan.write_text(plan.read_text().replace(before, digest_now))
    result = decided.export(isthmus, project, tmp_path / "c.jsonl")
    assert result.code == 1
    assert "handling.confidential.corrections_exported" in result.err
    assert list(tmp_path.glob("*.jsonl")) == []


def test_decisions_teach_after_the_answers_are_deleted(
    decided: Decided, isthmus: Isthmus, project: Path, tmp_path: Path
):
    decided.site.sql("DELETE FROM isthmus.held")
    gone = decided.export(isthmus, project, tmp_path / "c.jsonl")
    assert (gone.code, "there is no corrected answer to export" in gone.err) == (1, True)
    renewed = tmp_path / "renewed.json"
    result = decided.calibrate(isthmus, "--max-error", "0.3", "-o", renewed, "--format", "json")
    assert result.code == 0, result.err
    report = json.loads(result.out)
    right = ANSWERS - len(decided.wrong)
    assert report["judgements"]["judged"] == report["judgements"]["drawn"] == ANSWERS
    assert report["acceptance"]["value"] == pytest.approx(right / ANSWERS)
    below = report["threshold"]["below"]
    assert read(renewed)[0].threshold is not None
    effect = report["effect"]
    held = [sum(score < threshold for score in decided.scores.values()) for threshold in (BELOW, below)]
    assert [effect["in_use"]["held"], effect["new"]["held"]] == held
    assert effect["reviewer"]["measured_on"] == ANSWERS
    assert report["drift"]["significant"] is False
    assert "anna" not in result.out
