"""`isthmus usage STACK` on sealed stores in folders: figures, formats, and what it says when it cannot count."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandResult, Isthmus
from tests.edge.audit.harness import AuditSite, exchange, intent, outcome, write


@pytest.fixture
def site(tmp_path: Path) -> AuditSite:
    """Records of class restricted at fra1: two answered requests, and one without an outcome yet."""
    audit_site = AuditSite.at(tmp_path / "site")
    writer, sealer = audit_site.writer(), audit_site.sealer()
    exchange(writer, "r1")
    write(
        writer,
        (
            "outcome",
            outcome("r2", attempts=0, ran=None, status=403, code="refused", ended_well=False, tokens={}),
        ),
    )
    write(writer, ("intent", intent("r3")))
    sealer.seal()
    return audit_site


@pytest.fixture
def gateways(site: AuditSite) -> Path:
    return gateways_file(site)


def gateways_file(site: AuditSite, **more: Any) -> Path:
    """A file for `--gateways` with one gateway."""
    (site.root / "sealer.pem").write_bytes(site.public)
    (site.root / "key").write_text("k")
    gateway = {"class": "restricted", "site": "fra1", "url": "https://g", "workload": "claims", "key": "key"}
    record = {"store": str(site.root / "store"), "public_key": "sealer.pem"}
    file = site.root / "gateways.yaml"
    file.write_text(json.dumps({"gateways": [{**gateway, "record": record, **more}]}))
    return file


def usage(isthmus: Isthmus, project: Path, gateways: Path, *more: str) -> CommandResult:
    return isthmus("usage", "bank-dev", "--gateways", gateways, "--project", project, *more)


def test_usage_is_shown_by_workload(isthmus: Isthmus, project: Path, gateways: Path):
    result = usage(isthmus, project, gateways)
    assert result.code == 0, result.err
    assert "2 requests, 12 tokens, 0.00 GPU hours, cost not known" in result.out
    assert "1 answered request without a price" in result.out
    assert "restricted at fra1" in result.out


def test_json_has_the_days_of_the_contract(isthmus: Isthmus, project: Path, gateways: Path):
    result = usage(isthmus, project, gateways, "--format", "json", "--by", "team", "--by", "endpoint")
    read = json.loads(result.out)
    today = datetime.now(UTC).date().isoformat()
    answered, refused = sorted(read["days"], key=lambda day: day["failed"])
    assert (answered["day"], answered["endpoint"], answered["prompt_tokens"], answered["unpriced"]) == (
        today,
        "m",
        7,
        1,
    )
    assert (refused["endpoint"], refused["failed"], refused["person"]) == (None, 1, None)
    assert [group["names"] for group in read["groups"]] == [
        {"team": "", "endpoint": ""},
        {"team": "", "endpoint": "m"},
    ]
    assert [store["seal"] for store in read["loaded"]] == [1]
    assert [(hour["workload"], hour["requests"]) for hour in read["hours"]] == [("claims", 1)]


def test_evaluations_are_shown_apart(isthmus: Isthmus, project: Path, site: AuditSite):
    who = {**intent("r9")["who"], "purpose": "evaluation"}
    write(site.writer("w9"), ("intent", intent("r9", who=who)), ("outcome", outcome("r9", who=who)))
    site.sealer().seal()
    read = json.loads(usage(isthmus, project, gateways_file(site), "--format", "json").out)
    assert (read["totals"]["requests"], sum(day["requests"] for day in read["days"])) == (2, 2)
    assert [(day["team"], day["requests"], day["prompt_tokens"]) for day in read["evaluations"]] == [
        ("", 1, 7)
    ]
    assert "\nEvaluations\n" in usage(isthmus, project, gateways_file(site)).out


def test_csv_and_html_are_on_standard_output(isthmus: Isthmus, project: Path, gateways: Path):
    table = usage(isthmus, project, gateways, "--format", "csv")
    assert table.out.splitlines()[0].startswith("workload,requests,failed,unfinished,prompt_tokens")
    assert usage(isthmus, project, gateways, "--format", "html").out.startswith("<!doctype html>")


def test_an_altered_store_is_not_counted(isthmus: Isthmus, project: Path, gateways: Path, site: AuditSite):
    seal = site.root / "store/seals/000000000001.seal"
    seal.write_bytes(seal.read_bytes().replace(b"claims", b"c1aims"))
    result = usage(isthmus, project, gateways)
    assert result.code == 1
    assert (
        "records of class restricted at fra1: they are not proven, so their usage is not counted"
        in result.err
    )


def test_a_store_of_another_class_is_wrong_input(isthmus: Isthmus, project: Path, site: AuditSite):
    result = usage(isthmus, project, gateways_file(site, **{"class": "internal"}))
    assert (result.code, "it is of class restricted at fra1" in result.err) == (2, True)


def test_a_period_without_usage_names_how_far_records_are_read(
    isthmus: Isthmus, project: Path, gateways: Path
):
    result = usage(isthmus, project, gateways, "--from", "2025-01-01", "--to", "2025-01-31")
    assert result.code == 2
    assert "nothing was used from 2025-01-01 to 2025-01-31 (records read: restricted until" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("usage", "bank-dve"), "unknown stack `bank-dve`"),
        (("usage", "bank-dev"), "nothing says where the gateways' records are"),
        (("usage", "bank-dev", "--from", "monday"), "`monday` is not a day"),
        (("usage", "bank-dev", "--from", "2026-11-02", "--to", "2026-11-01"), "is before --from"),
        (("usage", "close", "bank-dev", "11.2026", "--ledger", "none.yaml"), "`11.2026` is not a month"),
        (("usage", "bank-dev", "--ledger", "none.yaml"), "none.yaml"),
    ],
)
def test_wrong_input_is_named(isthmus: Isthmus, project: Path, arguments: tuple[str, ...], message: str):
    result = isthmus(*arguments, "--project", project)
    assert (result.code, message in result.err) == (2, True), result.err


@pytest.mark.parametrize("month", [f"{datetime.now(UTC):%Y-%m}", "2999-01"])
def test_a_month_that_is_not_over_is_not_closed(isthmus: Isthmus, project: Path, month: str):
    result = isthmus("usage", "close", "bank-dev", month, "--ledger", "none.yaml", "--project", project)
    assert (result.code, f"{month} is not over" in result.err) == (1, True)


def test_what_it_prints_as_json_is_read_by_focus_and_forecast(
    isthmus: Isthmus, project: Path, gateways: Path, tmp_path: Path
):
    file = tmp_path / "usage.json"
    file.write_text(usage(isthmus, project, gateways, "--format", "json").out)
    focus = isthmus("usage", "focus", "bank-dev", "--usage", file, "--project", project)
    assert focus.code == 0, focus.err
    [row] = csv.DictReader(io.StringIO(focus.out))
    assert (row["SkuMeter"], row["ConsumedQuantity"], row["x_UnpricedRequests"]) == ("Tokens", "12", "1")
    assert "note: 1 request without a price" in focus.err
    assert usage(isthmus, project, gateways, "--format", "focus").out == focus.out
    today = datetime.now(UTC).date().isoformat()
    forecast = isthmus(
        "usage", "forecast", "bank-dev", "--usage", file, "--through", today, "--project", project
    )
    assert forecast.code == 0, forecast.err
    assert "80 % interval" in forecast.out


def test_usage_without_prices_imports_no_slow_modules(project: Path, gateways: Path):
    options = ["--format", "csv", "--gateways", str(gateways), "--project", str(project)]
    arguments = ["usage", "bank-dev", *options]
    code = (
        "import sys; from isthmus.cli import main; "
        f"code = main({arguments!r}); print(sorted(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(eval(result.stderr))  # noqa: S307 (our own print above)
    slow = {"pulumi", "boto3", "jinja2", "isthmus.contracts.platform.model.platform", "edge.config.gateway"}
    assert not loaded & slow, f"it would wait for {sorted(loaded & slow)}"
