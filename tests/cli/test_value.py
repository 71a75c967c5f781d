"""`isthmus value` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.calibration import review_records
from tests.cli.test_calibrate_reviews import sealed
from tests.edge.audit.harness import AuditSite
from tests.value import bank

pytestmark = pytest.mark.whole


@pytest.fixture
def files(tmp_path: Path) -> tuple[str | Path, ...]:
    usage, assistant, narratives = bank.write(tmp_path)
    return "--usage", usage, "--reviews", assistant, "--reviews", narratives


def test_the_text_begins_with_the_answer_and_its_reasons(isthmus, files):
    result = isthmus("value", "bank-dev", *files)
    assert result.code == 0, result.err
    _, assistant = result.out.split("policy-assistant (internal)")
    assert assistant.splitlines()[1:3] == [
        "  scale, fix or stop? Scale.",
        "    every scale criterion is met and no stop criterion is",
    ]
    assert "adoption: 51.1 % (80 %: 50.1 % to 51.7 %); target 50 %" in assistant


def test_text_json_and_page_show_the_same_figures_and_the_same_bytes_each_time(isthmus, files):
    report = json.loads(isthmus("value", "bank-dev", *files, "--format", "json").out)
    assert report["adding_up"] == bank.report().adding_up.model_dump(mode="json")
    text, page = (isthmus("value", "bank-dev", *files, "--format", kind).out for kind in ("text", "html"))
    again = isthmus("value", "bank-dev", *files, "--format", "html").out
    assert page == again
    for sum_ in (report["adding_up"]["total_usd"], report["adding_up"]["plan_usd"]):
        shown = f"{float(sum_):,.2f}"
        assert shown in text
        assert shown in page


def test_without_judgements_the_answer_is_not_known_yet(isthmus, files):
    out = isthmus("value", "bank-dev", *files[:2]).out
    assert "Not known yet. Still possible: scale, fix or stop." in out
    assert "not known, because no judgements of the random sample were given" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["value", "bank-dev"], "Missing option '--usage'"),
        (["value", "bank"], "unknown stack `bank`"),
        (["value", "bank-dev", "--from-reviews", "."], "--from-reviews needs --public-key"),
        (["value", "bank-dev", "--from-reviews", ".", "--reviews", "x"], "are two sources"),
    ],
)
def test_wrong_options_are_refused(isthmus, files, arguments, message):
    given = arguments if message.startswith("Missing") else [*arguments, *files[:2]]
    result = isthmus(*given)
    assert result.code == 2
    assert message in result.err


def test_judgements_come_from_a_proven_store_of_the_random_sample_alone(isthmus, tmp_path):
    site = AuditSite.at(tmp_path / "audit")
    records = list(review_records.answers("value", 400, days=3))
    for record in records:
        record["who"] = {**record["who"], "workload": bank.ASSISTANT}
    sealed(site, records)
    usage, _, _ = bank.write(tmp_path)
    arguments = (
        *("value", "bank-dev", "--usage", usage, "--format", "json"),
        *("--from-reviews", site.root / "store", "--public-key", site.root / "seal.pem"),
    )
    result = isthmus(*arguments)
    assert result.code == 0, result.err
    drawn = {one["id"] for one in records if "sampled" in ((one.get("held") or {}).get("why") or ())}
    right = {one["id"] for one in records if one.get("state") == "approved"} & drawn
    (assistant,) = [one for one in json.loads(result.out)["workloads"] if one["workload"] == bank.ASSISTANT]
    assert assistant["judged"] == len(drawn)
    (share,) = [one["range"]["point"] for one in assistant["figures"] if one["measure"] == "acceptance"]
    assert share == pytest.approx(len(right) / len(drawn), abs=1e-5)
