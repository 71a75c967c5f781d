"""The judge of a release: a model of the same gateway scores a sample of answers after they have left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge.canary.rubric import digest_of
from edge.usage.rows import fold
from tests.edge.canary.released import SOON_S, WORKLOAD, Released, released
from tests.edge.fake_model import WORDS, FakeModel
from tests.edge.postgres import Postgres
from tests.edge.usage.histories import seal

JUDGE, RUBRIC = "judge", "A right answer names the rent."
RULE = {"workload": JUDGE, "rubric": RUBRIC, "percent": 100.0, "per_day": 1000}


class Grading(FakeModel):
    """A judge that calls every answer right but `Wrong`."""

    answer = ""
    """What it says instead of a grade."""

    def prepare(self, request: dict[str, Any]) -> None:
        prompt = request["messages"][0]["content"]
        self.words = ["It does.\n", self.answer or f"GRADE: {'I' if 'Wrong' in prompt else 'C'}"]


@pytest.fixture(scope="module")
def judge() -> Grading:
    return Grading()


@pytest.fixture(scope="module")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, judge: Grading) -> Iterator[Released]:
    with released(tmp_path_factory.mktemp("judge"), postgres, "judged", judges=[judge]) as site:
        yield site


@pytest.fixture(autouse=True)
def well(request: pytest.FixtureRequest) -> None:
    if "site" in request.fixturenames:
        site: Released = request.getfixturevalue("site")
        for model in site.made.models:
            model.reset()
        request.getfixturevalue("judge").answer = ""


def start(site: Released, release: str, canary: dict[str, Any], **rule: Any) -> int:
    """Start a copy of a gateway that has its answers judged."""
    canary = {**canary, "judge": {**RULE, **rule}}
    route = {**site.made.place(2, "judge-model"), "workload": JUDGE}
    return site.start(release, canary, more_routes=[route])


@pytest.fixture(scope="module")
def gateway(site: Released) -> int:
    """A copy whose canary has half of the people, and whose answers are all judged."""
    return start(site, "both", {"percent": 50.0})


def answers(site: Released, gateway: int, outcome: str) -> float:
    return site.made.gateways[gateway].metric("isthmus_judged_answers_total", outcome=outcome)


def wait_until(is_so: Callable[[], bool], seconds: float = 3 * SOON_S) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def ask(site: Released, gateway: int, times: int, **fields: Any) -> None:
    """Ask one question after the other, each when the last answer is judged: few are judged at once."""
    before = answers(site, gateway, "judged")
    for number in range(times):
        assert site.ask(gateway, 1, **fields) == [200]
        wait_until(lambda number=number: answers(site, gateway, "judged") == before + number + 1)


@pytest.mark.service
def test_answers_of_both_versions_get_scores_under_the_persons_unit(site: Released, gateway: int):
    site.canary.words = ["Wrong"]
    ask(site, gateway, 6)
    ask(site, gateway, 6, stream=True)
    sums = site.wait_for("both", lambda sums: sum(each.judged for each in sums.values()) == 12)
    for variant, score in (("in-use", 1), ("canary", 0)):
        assert sums[variant].judged == sums[variant].requests > 0
        assert sums[variant].judged_score == score * sums[variant].judged
    assert {row.unit for row in site.rows("both") if row.sums.judged} == {
        row.unit for row in site.rows("both")
    }


@pytest.mark.service
def test_the_judge_reads_question_answer_and_rubric_and_nobody_waits_for_it(
    site: Released, gateway: int, judge: Grading
):
    ask(site, gateway, 1)
    prompt = judge.last_body()["messages"][0]["content"]
    for text in ("user: question ", "".join(WORDS), RUBRIC):
        assert text in prompt
    judge.reset("stall")
    began = time.monotonic()
    assert site.ask(gateway, 3) == [200] * 3
    assert time.monotonic() - began < 5, "a judge's answer takes 10 s here"
    wait_until(lambda: site.made.gateways[gateway].metric("isthmus_endpoint_running") == 0)


@pytest.mark.service
def test_a_request_and_its_copy_for_the_shadow_are_both_judged(site: Released):
    gateway = start(site, "copied", {"percent": 0.0, "shadow_percent": 100.0})
    for number in range(3):
        site.ask(gateway, 1, stream=number == 1)
        wait_until(lambda number=number: answers(site, gateway, "judged") == 2 * number + 2)
    sums = site.wait_for("copied", lambda sums: sum(each.judged for each in sums.values()) == 6)
    assert (sums["in-use"].judged, sums["shadow"].judged) == (3, 3)


@pytest.mark.service
def test_a_judge_that_fails_or_gives_no_grade_is_counted_and_disturbs_nobody(
    site: Released, judge: Grading, gateway: int
):
    before = answers(site, gateway, "failed")
    judge.reset("status-500")
    assert site.ask(gateway, 1) == [200]
    wait_until(lambda: answers(site, gateway, "failed") == before + 1)
    judge.reset()
    judge.answer = "I like it."
    assert site.ask(gateway, 1) == [200]
    wait_until(lambda: answers(site, gateway, "ungraded") == 1)
    days = "SELECT * FROM isthmus.release_judge_days WHERE release = 'both'"
    [day] = site.made.ask_database(days)
    assert (day["ungraded"], day["rubric"]) == (1, digest_of(RUBRIC))
    assert 1 <= day["failed"] <= day["asked"] - 2


@pytest.mark.service
def test_the_limit_of_a_day_is_of_all_copies_together(site: Released):
    gateways = [start(site, "limited", {"percent": 50.0}, per_day=3) for _ in range(2)]
    for number in range(6):
        site.ask(gateways[number % 2], 1)
        wait_until(
            lambda number=number: (
                sum(
                    answers(site, gateway, outcome)
                    for gateway in gateways
                    for outcome in ("judged", "limited")
                )
                == number + 1
            )
        )
    assert sum(answers(site, gateway, "judged") for gateway in gateways) == 3
    site.made.gateways[gateways[1]].stop()


@pytest.mark.service
def test_few_answers_of_the_version_in_use_are_judged_while_few_people_have_the_candidate(site: Released):
    gateway = start(site, "few", {"percent": 1.0})
    site.ask(gateway, 30)
    time.sleep(1)
    outcomes = ("judged", "dropped", "failed")
    assert sum(answers(site, gateway, outcome) for outcome in outcomes) <= 10, (
        "4 in 99, beside the candidate's own"
    )
    site.made.gateways[gateway].stop()


@pytest.mark.service
def test_it_is_recorded_as_a_judge_without_content_and_the_ledger_counts_it_apart(
    site: Released, gateway: int
):
    before = answers(site, gateway, "judged")
    asked = site.made.chat(site.key, WORKLOAD, gateway).headers["x-request-id"]
    wait_until(lambda: answers(site, gateway, "judged") == before + 1)
    records = [
        record
        for kind in ("intent", "outcome")
        for record in site.records(kind)
        if record.get("judges") == asked
    ]
    assert [record["kind"] for record in records] == ["intent", "outcome"]
    assert {(record["who"]["purpose"], record["rubric"]) for record in records} == {
        ("judge", digest_of(RUBRIC))
    }
    assert (records[0]["to"]["model"], records[1]["content"], records[1]["answer"]) == (
        "judge-model",
        None,
        [],
    )
    [row] = fold({}, seal(0), records, lambda _: True).values()
    assert (row.purpose, row.workload, row.model, row.team) == ("judge", WORKLOAD, JUDGE, "")


@pytest.mark.service
def test_failed_answers_tool_calls_and_evaluations_are_not_judged(
    site: Released, gateway: int, judge: Grading
):
    tool = {"type": "function", "function": {"name": "rate", "parameters": {"type": "object"}}}
    assert site.ask(gateway, 2, tools=[tool]) == [200] * 2
    assert site.ask(gateway, 2, site.evaluation_key) == [200] * 2
    assert site.ask(gateway, 2, n=2) == [200] * 2
    site.in_use.reset("status-500")
    site.canary.reset("status-500")
    assert site.ask(gateway, 2) == [502] * 2
    time.sleep(0.5)
    assert judge.received == []
