"""Accepted answers: from reports on reviews and from records, of the random sample alone."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from isthmus.core.errors import InputError
from isthmus.value import acceptance
from tests.calibration import review_records as records
from tests.value import bank

NAMES = [bank.ASSISTANT, bank.NARRATIVES]


def read(tmp_path, *reports):
    files = []
    for number, content in enumerate(reports):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(content))
        files.append(file)
    return acceptance.read_reports(files, NAMES, bank.usage())


def test_reports_on_several_models_of_a_workload_are_added(tmp_path):
    found = read(
        tmp_path,
        bank.review_report(bank.ASSISTANT, 180, 200),
        bank.review_report(bank.ASSISTANT, 50, 100, model="other"),
        bank.review_report(bank.NARRATIVES, 60, 74),
    )
    assert (found[bank.ASSISTANT].right, found[bank.ASSISTANT].judged) == (230, 300)
    assert (found[bank.NARRATIVES].right, found[bank.NARRATIVES].judged) == (None, 74)


def test_a_model_with_too_few_judgements_is_left_out_and_the_source_says_so(tmp_path):
    found = read(
        tmp_path,
        bank.review_report(bank.ASSISTANT, 180, 200),
        bank.review_report(bank.ASSISTANT, 5, 60, model="other"),
    )[bank.ASSISTANT]
    assert (found.right, found.judged) == (180, 200)
    assert found.source.endswith("(without models that have too few judgements)")


@pytest.mark.parametrize(
    ("reports", "message"),
    [
        ([bank.review_report("letters", 180, 200)], "`letters` is not a workload of the stack"),
        (
            [
                bank.review_report(
                    bank.ASSISTANT, 180, 200, begin="2025-01-01T00:00:00Z", end="2025-02-01T00:00:00Z"
                )
            ],
            "on answers of 2025-01-01 to 2025-02-01, and the usage of `policy-assistant` is of 2026-09-07",
        ),
        (
            [bank.review_report(bank.ASSISTANT, 180, 200)] * 2,
            "there are two reports on m of `policy-assistant`",
        ),
        ([{"workload": "policy-assistant"}], "model: Field required"),
    ],
)
def test_reports_that_do_not_belong_to_the_usage_are_refused(tmp_path, reports, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        read(tmp_path, *reports)


def test_of_records_only_the_random_sample_counts_whichever_model_wrote_the_answers():
    begin = records.BEGIN.date()
    found = acceptance.SampleRecords([records.WORKLOAD, "other"], begin, begin + timedelta(1))
    for number in range(30):
        name, at = f"a{number}", records.BEGIN + timedelta(minutes=number)
        why = ("sampled",) if number < 20 else ("low-score",)
        ran = {"model": f"m{number % 2}", "digest": None}
        decisions = records.decided(name, at, right=number % 4 > 0)
        for one in (records.outcome(name, at, -0.1, why, ran=ran), *decisions):
            found.add(one)
    (sample,) = found.samples().values()
    assert (sample.judged, sample.right) == (20, 15)
