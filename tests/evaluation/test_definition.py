"""`evaluation.yaml`: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isthmus.core.errors import InputError, IsthmusError
from isthmus.evaluation.definition import folder_of, load
from tests.evaluation.written import case, write_evaluation

OTHER: list[dict[str, Any]] = [case("three", expected="Oslo")]
RIGHT: list[dict[str, Any]] = [case("one", expected="Bern"), case("two", expected=["Rome", "Roma"])]


def test_an_evaluation_is_read_with_its_prompt_and_cases(tmp_path: Path):
    folder = write_evaluation(tmp_path, {"capitals": ({"check": "exact"}, RIGHT)}, system_prompt="system.txt")
    (folder / "system.txt").write_text("Answer briefly.\n")
    loaded = load(folder, "restricted")
    assert [part.task.name for part in loaded.tasks] == ["capitals"]
    assert loaded.system is not None
    assert loaded.system.content == "Answer briefly."
    before = loaded.prompt_sha256
    (folder / "system.txt").write_text("Answer at length.\n")
    assert load(folder, "restricted").prompt_sha256 != before


@pytest.mark.parametrize(
    ("check", "content"),
    [
        ("exact", {}),
        ("contains", {"expected": {"a": 1}}),
        ("fields", {"expected": "Bern"}),
        ("refusal", {"expected": "Bern"}),
        ("tool", {"call": {"name": "rate"}}),
    ],
)
def test_a_case_that_a_check_cannot_compare_says_what_it_needs(
    tmp_path: Path, check: str, content: dict[str, Any]
):
    folder = write_evaluation(tmp_path, {"a": ({"check": check}, [case("one", **content)])})
    with pytest.raises(InputError, match="`one` lacks what") as caught:
        load(folder, "restricted")
    assert "Fix: Write" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "more", "said"),
    [
        ({"check": "rubric"}, {}, "belong together"),
        ({"check": "exact", "rubric": "x"}, {}, "belong together"),
        ({"check": "rubric", "rubric": "x"}, {}, "needs a judge"),
        ({"check": "exact", "safety": True}, {}, "no score"),
        ({"check": "exactly"}, {}, "exactly"),
        ({"check": "exact", "cases": ["../secret.jsonl"]}, {}, "secret"),
        ({"check": "exact"}, {"min_score": 2}, "min_score"),
        ({"check": "exact"}, {"system_prompt": "absent.txt"}, "absent.txt"),
    ],
)
def test_a_wrong_definition_says_what_is_wrong(
    tmp_path: Path, settings: dict[str, Any], more: dict[str, Any], said: str
):
    folder = write_evaluation(tmp_path, {"a": (settings, RIGHT)}, **more)
    with pytest.raises(IsthmusError, match=said):
        load(folder, "restricted")


def test_a_case_may_be_in_one_task_only(tmp_path: Path):
    tasks = {"a": ({"check": "exact"}, RIGHT), "b": ({"check": "contains"}, RIGHT)}
    with pytest.raises(InputError, match="`one` comes 2 times"):
        load(write_evaluation(tmp_path, tasks), "restricted")


def test_cases_that_repeat_another_or_were_trained_on_do_not_count(tmp_path: Path):
    asked = "Please tell me in one word which city is the capital of the country of Switzerland"
    cases = [
        case("one", prompt=asked, expected="Bern"),
        case("again", prompt=asked.upper() + "!", expected="Bern"),
        case("otherwise", prompt=asked, expected="Berne"),
        case(
            "known",
            prompt="The river that runs through the old town of this city is called what",
            expected="Aare",
        ),
    ]
    folder = write_evaluation(tmp_path, {"a": ({"check": "exact"}, cases)}, training_data=["train.jsonl"])
    (folder / "train.jsonl").write_text(
        '{"messages": [{"content": "the river that runs through the old town of this city is called what?"}]}\n'
    )
    found = load(folder, "restricted").duplicates
    assert [(entry.case, entry.reason, entry.of) for entry in found] == [
        ("again", "repeats", "one"),
        ("otherwise", "repeats", "one"),
        ("known", "trained", None),
    ]


def test_a_workload_without_an_evaluation_names_those_that_have_one(tmp_path: Path):
    write_evaluation(tmp_path / "evaluations" / "claims", {"a": ({"check": "exact"}, RIGHT)})
    assert folder_of(tmp_path, "claims").name == "claims"
    with pytest.raises(InputError, match="there are evaluations of claims"):
        folder_of(tmp_path, "claim")


def test_a_task_without_any_case_that_counts_is_an_error(tmp_path: Path):
    asked = "The river that runs through the old town of this city is called what"
    folder = write_evaluation(
        tmp_path,
        {"a": ({"check": "exact"}, [case("one", prompt=asked, expected="Aare")])},
        training_data=["t.txt"],
    )
    (folder / "t.txt").write_text(asked)
    with pytest.raises(InputError, match="no case of the task `a` counts"):
        load(folder, "restricted")


def test_the_same_question_counts_in_two_tasks(tmp_path: Path):
    asked = "Please tell me in one word which city is the capital of the country of Switzerland"
    tasks = {
        "a": ({"check": "exact"}, [case("one", prompt=asked, expected="Bern")]),
        "b": ({"check": "refusal", "safety": True}, [case("two", prompt=asked, refuse=False)]),
    }
    assert load(write_evaluation(tmp_path, tasks), "restricted").duplicates == []


def test_a_case_in_another_task_is_another_evaluation(tmp_path: Path):
    exact = write_evaluation(
        tmp_path / "1", {"a": ({"check": "exact"}, RIGHT), "b": ({"check": "contains"}, OTHER)}
    )
    moved = [RIGHT[0], *OTHER]
    contains = write_evaluation(
        tmp_path / "2", {"a": ({"check": "exact"}, RIGHT[1:]), "b": ({"check": "contains"}, moved)}
    )
    assert load(exact, "restricted").cases_sha256 != load(contains, "restricted").cases_sha256


def test_cases_with_a_long_instruction_in_common_all_count(tmp_path: Path):
    instruction = " ".join(f"rule {number} of the long instruction" for number in range(40))
    cases = [case(f"c{n}", prompt=f"{instruction} Read: invoice {n}", expected=f"{n}") for n in range(5)]
    folder = write_evaluation(tmp_path, {"a": ({"check": "exact"}, cases)})
    assert load(folder, "restricted").duplicates == []
