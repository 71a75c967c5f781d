"""`isthmus calibrate --from-reviews` on sealed records: exit codes, formats, and the file for the gateway."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge.confidence.calibration import read
from isthmus.core import yaml_files
from tests.calibration.review_records import BEGIN, WORKLOAD, Truth, answers, honest, in_use, period
from tests.cli.conftest import CommandResult, Isthmus
from tests.edge.audit.altering import EVERY
from tests.edge.audit.harness import OPENING, AuditSite

_DROPPED = ("v", "kind", "time", "writer", "seq", "prev")


@dataclass
class Learned:
    """A sealed store, the calibration in use, and the command over both."""

    isthmus: Isthmus
    audit_site: AuditSite
    folder: Path

    @property
    def calibration(self) -> Path:
        return self.folder / "in-use.json"

    def run(self, *more: str | Path) -> CommandResult:
        return self.isthmus(
            *("calibrate", "--from-reviews", self.audit_site.root / "store"),
            *("--public-key", self.audit_site.root / "seal.pem", "--workload", WORKLOAD),
            *("--calibration", self.calibration, "--to", period().end.isoformat(), *more),
        )


def sealed(audit_site: AuditSite, records: Iterable[dict[str, Any]]) -> None:
    """Write the records in a chain, as of their own times, and seal them. The seal is as old as the last one."""
    writer = audit_site.writer()
    lines = []
    for record in records:
        fields = {key: value for key, value in record.items() if key not in _DROPPED} | OPENING
        fields["class"] = OPENING["class"]
        if record["kind"] == "outcome":
            fields["attempts"] = 0
        lines.append(writer.chain.write(record["kind"], record["time"], fields))
    writer.commit(lines)
    audit_site.sealer().seal()
    (audit_site.root / "seal.pem").write_bytes(audit_site.public)


def learned(isthmus: Isthmus, folder: Path, count: int, truth: Truth = honest) -> Learned:
    audit_site = AuditSite.at(folder / "audit")
    sealed(audit_site, answers(11, count, truth=truth, sampled=1))
    site = Learned(isthmus, audit_site, folder)
    site.calibration.write_text(in_use(0.6, 0.25).calibration.model_dump_json())
    return site


@pytest.fixture
def site(isthmus: Isthmus, tmp_path: Path) -> Learned:
    return learned(isthmus, tmp_path, 1600)


def test_decisions_renew_the_calibration_and_show_what_its_threshold_changes(site: Learned):
    renewed = site.folder / "renewed.json"
    arguments = ("--max-error", "0.25", "--as-of", "2026-11-26", "-o", renewed, "--usd-per-hour", "60")
    result = site.run(*arguments, "--format", "json")
    assert result.code == 0, result.err
    report = json.loads(result.out)
    calibrated, _ = read(renewed)
    assert calibrated.threshold is not None
    assert calibrated.threshold.below == report["effect"]["new"]["below"] == report["threshold"]["below"]
    assert report["drift"]["significant"] is False
    assert report["judgements"]["judged"] == report["acceptance"]["judged"] == 1600
    assert report["effect"]["reviewer"]["measured_on"] == 1600
    assert "bank.example" not in result.out + renewed.read_text()
    again = site.folder / "again.json"
    assert site.run(*arguments[:-3], again, "--format", "json").code == 0
    assert again.read_bytes() == renewed.read_bytes()


def test_json_has_the_documented_keys(site: Learned):
    report = json.loads(site.run("--try-below", "0.7", "--format", "json").out)
    assert list(report) == [
        *("workload", "model", "model_digest", "domain", "kind", "begin", "end", "judgements", "acceptance"),
        *("in_use", "drift", "threshold", "reliability", "not_renewed", "effect"),
    ]
    assert list(report["acceptance"]) == ["value", "low", "high", "judged"]
    assert list(report["effect"]) == [
        *("days", "answers", "without_score", "held_for_other_reasons", "in_use", "new", "more_held"),
        *("more_held_per_1000", "more_held_per_month", "errors_caught", "errors_let_through", "reviewer"),
    ]


def test_a_named_threshold_shows_its_effect_in_text_and_on_the_page_and_writes_nothing(site: Learned):
    text = site.run("--try-below", "0.7", "--minutes", "5")
    assert text.code == 0, text.err
    assert "errors caught in addition" in text.out
    assert "with 5.0 minutes an answer (your estimate)" in text.out
    page = site.run("--try-below", "0.7", "--minutes", "5", "--format", "html")
    row = next(line for line in text.out.splitlines() if "held for their score" in line)
    assert row.split("held for their score")[1].strip() in page.out
    assert "<script" not in page.out
    refused = site.run("--try-below", "0.7", "-o", site.folder / "never.json")
    assert refused.code == 1
    assert not (site.folder / "never.json").exists()


def test_a_model_that_got_worse_ends_with_exit_code_4(isthmus: Isthmus, tmp_path: Path):
    worse = learned(
        isthmus, tmp_path, 1600, lambda measured, passed: measured if passed < 0.4 else 0.7 * measured
    )
    result = worse.run()
    assert result.code == 4
    assert "Fix: Use the new calibration" in result.err
    assert "SIGNIFICANT" in result.out


def test_an_altered_store_teaches_nothing(site: Learned):
    EVERY["flip"](site.audit_site.root / "store", random.Random(3))
    result = site.run()
    assert (result.code, result.out) == (1, "")
    assert "nothing is learned from it" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "there are no judged answers"),
        (("--workload", "claims"), "--workload: it needs --from-reviews"),
        (("--from-reviews", "store"), "--workload: --from-reviews needs --workload"),
        (("answers.jsonl", "--from-reviews", "store"), "ANSWERS and --from-reviews are two sources"),
        (("--from-reviews", "s", "--try-below", "2"), "--try-below: 2 is not from 0 to 1"),
        (("--from-reviews", "s", "--try-below", "0.2", "--max-error", "0.1"), "--try-below names one"),
    ],
)
def test_wrong_options_are_invalid_input(isthmus: Isthmus, arguments: tuple[str, ...], message: str):
    result = isthmus("calibrate", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_a_period_that_ends_before_it_begins_is_invalid_input(site: Learned):
    result = site.run("--from", "2027-01-01")
    assert result.code == 2
    assert "is not after --from" in result.err
    assert BEGIN.date().isoformat() not in result.out


def state_calibration(project: Path, calibration: Path) -> None:
    """State the calibration for `kyc-extraction` in the stack."""
    calibration.write_text(calibration.read_text().replace('"payments"', '"onboarding"'))
    shutil.copy(calibration, project / "stacks" / "kyc.json")
    settings = project / "stacks" / "Pulumi.bank-dev.yaml"
    document = yaml_files.load(settings)
    digest = f"sha256:{hashlib.sha256(calibration.read_bytes()).hexdigest()}"
    stated = {"name": "kyc", "file": "kyc.json", "digest": digest}
    gateways = document.data["config"]["isthmus:overrides"]["gateways"]
    entry = next(entry for entry in gateways if entry["name"] == "confidential-fra1")
    entry["workloads"] = [{"name": "kyc-extraction", "calibrations": [stated]}]
    settings.write_text(yaml_files.dumps(document.data))


def test_a_stack_has_the_calibration_and_the_threshold_in_use(site: Learned, project: Path):
    state_calibration(project, site.calibration)
    arguments = (
        *("calibrate", "--from-reviews", site.audit_site.root / "store", "--workload", "kyc-extraction"),
        *("--public-key", site.audit_site.root / "seal.pem", "--stack", "bank-dev", "--project", project),
    )
    result = site.isthmus(*arguments, "--format", "json")
    assert result.code == 0, result.err
    in_use = json.loads(result.out)["in_use"]
    assert in_use["below"] == 0.7, "the requirements' threshold, not the file's"
    assert in_use["calibration"] == f"sha256:{hashlib.sha256(site.calibration.read_bytes()).hexdigest()}"
    other = site.isthmus(*arguments, "--calibration", "kyk")
    assert (other.code, "Choose one of: kyc" in other.err) == (2, True)
    unscored = site.isthmus(*arguments[:4], "campaign-copy", *arguments[5:])
    assert (unscored.code, "has no calibration in the stack" in unscored.err) == (2, True)


def test_metrics_are_written_for_prometheus(site: Learned):
    file = site.folder / "calibration.prom"
    assert site.run("--metrics", file).code == 0
    samples = dict(line.rsplit(" ", 1) for line in file.read_text().splitlines() if not line.startswith("#"))
    labels = f'{{workload="{WORKLOAD}",model="example/model-8b",kind="text"}}'
    assert samples[f"isthmus_calibration_drift{labels}"] == "0.0"
    assert samples[f"isthmus_calibration_judged{labels}"] == "1600"
    checked = float(samples[f"isthmus_calibration_checked_timestamp_seconds{labels}"])
    assert checked == period().end.timestamp()
