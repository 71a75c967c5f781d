"""Inspect AI asks test cases through a real gateway: the version in use and a candidate, interrupted and continued."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.evaluation import running
from isthmus.engine.verification.access import GatewayAccess
from isthmus.evaluation.definition import Loaded, load
from isthmus.evaluation.outcomes import CaseOutcome
from tests.edge.certificates import Authority
from tests.edge.conftest import GATEWAY_NAME, MODEL_NAME, gateway_config
from tests.edge.fake_model import FakeModel
from tests.edge.processes import Edge
from tests.evaluation.written import case, write_evaluation

pytestmark = pytest.mark.service

KEYS = {"evaluation": "evaluation-key", "plain": "plain-key", "judge": "judge-key"}
CASES = 12
TASKS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "numbers": (
        {"check": "exact"},
        [case(f"n{n}", prompt=f"number {n}", expected=f"answer {n}", language="en") for n in range(CASES)],
    ),
    "tools": (
        {"check": "tool"},
        [
            case(
                "rate",
                prompt="What does a room in Bern cost?",
                tools=[{"type": "function", "function": {"name": "rate", "parameters": {"properties": {}}}}],
                call={"name": "rate", "arguments": {"city": "Bern"}},
            )
        ],
    ),
    "polite": (
        {"check": "rubric", "rubric": "A right answer is polite."},
        [case("good", prompt="Greet number 101"), case("bad", prompt="Greet number 102")],
    ),
}


class Exam(FakeModel):
    """`v1` answers even numbers right, `v2` all but the number 3, and `judge` finds answers with a 1 correct."""

    def prepare(self, request: dict[str, Any]) -> None:
        content = str(request["messages"][-1]["content"])
        number = int("".join(character for character in content if character.isdigit()) or 0)
        right = {"v1": number % 2 == 0, "v2": number != 3}.get(str(request["model"]), True)
        self.words = [f"Answer {number}." if right else "no"]
        if request["model"] == "judge":
            self.words = ["Fine. GRADE: C" if "number 101\n" in content else "Rude. GRADE: I"]


@dataclass
class Place:
    folder: Path
    model: Exam
    gateway: Edge

    def access(self, key: str = "evaluation", workload: str = "credit") -> GatewayAccess:
        return GatewayAccess(
            data_class="restricted",
            site="fra1",
            url=self.gateway.url,
            workload=workload,
            key=self.folder / f"{key}.key",
            certificate=self.folder / "app.crt",
            certificate_key=self.folder / "app.key",
            ca=self.folder / "ca.crt",
        )

    def asked(self) -> int:
        return len(self.model.received)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, model = tmp_path_factory.mktemp("evaluation"), Exam()
    authority = Authority(folder)
    for name, dns in (("gateway", GATEWAY_NAME), ("sidecar", MODEL_NAME), ("app", "app.payments.svc")):
        authority.issue(name, dns)
    callers = [
        {"key_sha256": _digest(KEYS["evaluation"]), "workload": "credit", "evaluation": True},
        {"key_sha256": _digest(KEYS["judge"]), "workload": "judge", "evaluation": True},
        {"key_sha256": _digest(KEYS["plain"]), "workload": "credit"},
    ]
    (folder / "callers.yaml").write_text(json.dumps({"callers": callers}))
    for name, key in {**KEYS, "wrong": "unknown-key"}.items():
        (folder / f"{name}.key").write_text(key + "\n")
    listen = {"certificate": str(folder / "sidecar.crt"), "key": str(folder / "sidecar.key")}
    sidecar = Edge(
        folder / "sidecar",
        {
            "mode": "sidecar",
            "class": "restricted",
            "listen": {**listen, "client_ca": str(authority.path)},
            "allowed_clients": [GATEWAY_NAME],
            "upstream": model.url,
        },
    )
    at = {"url": f"https://127.0.0.1:{sidecar.port}", "server_name": MODEL_NAME}
    routes = [
        {"workload": "credit", **at, "model": "v1", "canary": {**at, "model": "v2", "percent": 0.0}},
        {"workload": "judge", **at, "model": "judge"},
    ]
    gateway = Edge(folder / "gateway", {**gateway_config(folder, sidecar.port), "routes": routes})
    try:
        sidecar.wait_until_up()
        gateway.wait_until_up()
        gateway.wait_until_well()
        yield Place(folder, model, gateway)
    finally:
        gateway.stop()
        sidecar.stop()
        model.shutdown()
        model.server_close()


@pytest.fixture
def loaded(tmp_path: Path, place: Place) -> Loaded:
    place.model.reset()
    folder = write_evaluation(tmp_path / "credit", TASKS, judge={"workload": "judge"}, system_prompt="s.txt")
    (folder / "s.txt").write_text("Answer briefly.")
    return load(folder, "restricted")


def settings(**changes: Any) -> running.Settings:
    return running.Settings(
        **{"parallel": 4, "tokens": 1_000_000, "minutes": 5, "answers_folder": None, **changes}
    )


def access_of(place: Place, **changes: Any) -> dict[str, GatewayAccess]:
    return {
        "serving": place.access(),
        "candidate": place.access(),
        "judge": place.access("judge", "judge"),
        **changes,
    }


def by_task(outcomes: Any, version: str) -> Mapping[str, list[CaseOutcome]]:
    found: dict[str, list[CaseOutcome]] = {}
    for outcome in outcomes:
        if outcome.version == version:
            found.setdefault(outcome.task, []).append(outcome)
    return found


def unheard(done: int, everything: int, tokens: int) -> None:
    del done, everything, tokens


def test_each_version_answers_every_case_and_is_scored(place: Place, loaded: Loaded, tmp_path: Path):
    told: list[tuple[int, int]] = []
    run = tmp_path / "run"
    state = running.run(loaded, run, access_of(place), settings(), lambda *at: told.append(at[:2]))
    assert not state.is_over
    assert len(state.outcomes) == 2 * (CASES + 3)
    assert told[0] == (0, 2 * (CASES + 3))
    assert told[-1] == (2 * (CASES + 3), 2 * (CASES + 3))
    serving, candidate = by_task(state.outcomes, "serving"), by_task(state.outcomes, "candidate")
    assert sum(outcome.score for outcome in serving["numbers"]) == CASES / 2
    assert sum(outcome.score for outcome in candidate["numbers"]) == CASES - 1
    assert [outcome.score for outcome in candidate["tools"]] == [1]
    assert {outcome.case: outcome.score for outcome in candidate["polite"]} == {"good": 1, "bad": 0}
    assert {(outcome.prompt_tokens, outcome.completion_tokens) for outcome in state.outcomes} == {(7, 5)}
    bodies = [json.loads(raw.split(b"\r\n\r\n", 1)[1]) for raw in place.model.received]
    asked = [body for body in bodies if body["model"] == "v1"]
    assert {body["messages"][0]["content"] for body in asked} == {"Answer briefly."}
    assert {body["temperature"] for body in asked} == {0.0}


def test_no_text_of_a_case_stays_on_the_disk_unless_it_is_asked_for(
    place: Place, loaded: Loaded, tmp_path: Path
):
    run = tmp_path / "run"
    running.run(loaded, run, access_of(place), settings(), unheard)
    texts = [file.read_text() for file in run.rglob("*") if file.is_file()]
    assert texts
    assert not any("number 7" in text for text in texts)
    assert (run.parent / ".gitignore").read_text() == "*\n"
    kept = tmp_path / "kept"
    running.run(loaded, tmp_path / "again", access_of(place), settings(answers_folder=kept), unheard)
    logs = list(kept.glob("*.json"))
    assert len(logs) == 6
    assert any("number 7" in log.read_text() for log in logs)


def test_an_interrupted_run_goes_on_and_asks_no_case_twice(place: Place, loaded: Loaded, tmp_path: Path):
    def interrupt(done: int, everything: int, tokens: int) -> None:
        del everything, tokens
        if done >= 8:
            raise KeyboardInterrupt

    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        running.run(loaded, run, access_of(place), settings(), interrupt)
    assert not [
        child for child in psutil.Process().children() if "inspect_program" in " ".join(child.cmdline())
    ]
    first = (run / "outcomes.jsonl").read_text().splitlines()
    assert 8 <= len(first) < CASES + 14
    asked = place.asked()
    state = running.run(loaded, run, access_of(place), settings(), unheard)
    assert len(state.outcomes) == 2 * (CASES + 3)
    lines = (run / "outcomes.jsonl").read_text().splitlines()
    assert lines[: len(first)] == first
    assert len(lines) == 2 * (CASES + 3)
    again = place.asked()
    running.run(loaded, run, access_of(place), settings(), unheard)
    assert place.asked() == again, "a finished run asks nothing"
    assert again - asked <= 2 * (CASES + 3) + 4 - len(first)


def test_a_killed_program_goes_on(place: Place, loaded: Loaded, tmp_path: Path):
    def kill(done: int, everything: int, tokens: int) -> None:
        del everything, tokens
        if done == 5:
            for child in psutil.Process().children():
                if "inspect_program" in " ".join(child.cmdline()):
                    child.kill()

    run = tmp_path / "run"
    with pytest.raises(EnvironmentFault, match="ended with -9"):
        running.run(loaded, run, access_of(place), settings(), kill)
    with (run / "outcomes.jsonl").open("a") as file:
        file.write('{"task": "numb')
    state = running.run(loaded, run, access_of(place), settings(), unheard)
    assert len(state.outcomes) == 2 * (CASES + 3)


def test_a_budget_of_tokens_ends_a_run_and_the_next_one_goes_on(place: Place, loaded: Loaded, tmp_path: Path):
    run = tmp_path / "run"
    state = running.run(loaded, run, access_of(place), settings(tokens=120), unheard)
    assert state.is_over
    assert 10 <= len(state.outcomes) <= 14
    assert len(running.run(loaded, run, access_of(place), settings(), unheard).outcomes) == 2 * (CASES + 3)


@pytest.mark.parametrize(
    ("key", "said"), [("wrong", "the gateway answers 401"), ("plain", "not for evaluations")]
)
def test_a_key_that_is_not_for_evaluations_ends_the_run_and_scores_nothing(
    place: Place, loaded: Loaded, tmp_path: Path, key: str, said: str
):
    run = tmp_path / "run"
    changed = {"serving": place.access(key), "candidate": place.access(key)}
    with pytest.raises(EnvironmentFault, match=said):
        running.run(loaded, run, access_of(place, **changed), settings(), unheard)
    assert not (run / "outcomes.jsonl").exists()


def test_a_gateway_that_does_not_listen_ends_the_run(place: Place, loaded: Loaded, tmp_path: Path):
    closed = place.access().model_copy(update={"url": "https://127.0.0.1:9"})
    with pytest.raises(EnvironmentFault, match="cannot be reached"):
        running.run(loaded, tmp_path / "run", access_of(place, serving=closed), settings(), unheard)


NUMBERS = {
    "numbers": ({"check": "exact"}, [case(f"n{n}", prompt=f"number {n}", expected="1") for n in range(3)])
}


def test_a_model_that_refuses_a_case_scores_nothing_and_the_outcome_says_why(place: Place, tmp_path: Path):
    place.model.reset("too-long")
    loaded = load(write_evaluation(tmp_path / "credit", NUMBERS), "restricted")
    state = running.run(loaded, tmp_path / "run", {"serving": place.access()}, settings(), unheard)
    assert {outcome.score for outcome in state.outcomes} == {0}
    assert [outcome.error for outcome in state.outcomes] == ["400 context_length_exceeded"] * 3


def test_an_outage_counts_against_the_candidate_only_and_the_version_in_use_is_asked_again(
    place: Place, tmp_path: Path
):
    place.model.reset("html")
    loaded = load(write_evaluation(tmp_path / "credit", NUMBERS), "restricted")
    access = {"serving": place.access(), "candidate": place.access()}
    state = running.run(loaded, tmp_path / "run", access, settings(), unheard)
    assert {outcome.version for outcome in state.outcomes} == {"candidate"}
    assert {(outcome.score, outcome.error) for outcome in state.outcomes} == {(0, "502 bad_gateway")}
    assert state.unanswered == {"502 bad_gateway": 3}
    place.model.reset()
    again = running.run(loaded, tmp_path / "run", access, settings(), unheard)
    assert len(by_task(again.outcomes, "serving")["numbers"]) == 3
    assert {outcome.error for outcome in again.outcomes if outcome.version == "candidate"} == {
        "502 bad_gateway"
    }


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
