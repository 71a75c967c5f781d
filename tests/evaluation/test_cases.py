"""Files of test cases: what is read, and what each wrong line says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.errors import InputError, Refused
from isthmus.evaluation.cases import digest_of, read_cases, write_digests
from tests.evaluation.written import case, write_cases


def test_a_case_asks_its_prompt_or_its_conversation(tmp_path: Path):
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
    file = write_cases(tmp_path / "a.jsonl", [case("one", prompt="Why?"), case("two", messages=messages)])
    one, two = read_cases(file, "restricted")
    assert [message.content for message in one.conversation] == ["Why?"]
    assert two.text == "Hi\nYes?"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": ""}, "`source`"),
        ({"consent": None}, "`consent`"),
        ({"class": "secret"}, "`class`"),
        ({"prompts": "x"}, "`prompts`"),
        ({"tools": [{"type": "function"}]}, "1 tools without a name"),
        ({"prompt": None}, "neither of `prompt` and `messages`"),
        ({"messages": [{"role": "user", "content": "x"}]}, "both of `prompt` and `messages`"),
    ],
)
def test_a_wrong_case_names_its_line_and_what_is_wrong(tmp_path: Path, change: dict[str, Any], said: str):
    wrong = case("two", prompt="x") | change
    file = write_cases(tmp_path / "a.jsonl", [case("one"), wrong | {"sha256": digest_of(wrong)}])
    with pytest.raises(InputError) as caught:
        read_cases(file, "restricted")
    assert said in str(caught.value)
    assert "a.jsonl:2" in str(caught.value)


def test_all_wrong_lines_are_named_at_once(tmp_path: Path):
    file = tmp_path / "a.jsonl"
    file.write_text("{]\n\n[]\n" + json.dumps(case("one")) + "\n")
    with pytest.raises(InputError) as caught:
        read_cases(file, "restricted")
    assert "a.jsonl:1" in str(caught.value)
    assert "a.jsonl:3" in str(caught.value)


def test_a_case_of_a_higher_class_is_refused(tmp_path: Path):
    file = write_cases(tmp_path / "a.jsonl", [case("one")])
    with pytest.raises(Refused, match="of class restricted, and the workload handles internal at most"):
        read_cases(file, "internal")


def test_a_changed_case_is_noticed_until_somebody_accepts_it(tmp_path: Path):
    file = write_cases(tmp_path / "a.jsonl", [case("one", expected="Bern"), case("two")])
    file.write_text(file.read_text().replace("Bern", "Rome"))
    with pytest.raises(InputError, match="not what its sha256 says"):
        read_cases(file, "restricted")
    file.chmod(0o600)
    assert write_digests(file) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_cases(file, "restricted")[0].expected == "Rome"
    assert write_digests(file) == 0


def test_a_case_without_a_digest_says_how_to_write_it(tmp_path: Path):
    plain = {key: value for key, value in case("one").items() if key != "sha256"}
    file = write_cases(tmp_path / "a.jsonl", [plain])
    with pytest.raises(InputError, match="--write-digests"):
        read_cases(file, "restricted")


def test_a_name_that_comes_twice_is_an_error(tmp_path: Path):
    file = write_cases(tmp_path / "a.jsonl", [case("one"), case("one")])
    with pytest.raises(InputError, match="`one` comes twice"):
        read_cases(file, "restricted")


def test_an_empty_file_is_an_error(tmp_path: Path):
    with pytest.raises(InputError, match="no case"):
        read_cases(write_cases(tmp_path / "a.jsonl", []), "restricted")


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers(), max_size=5))
def test_the_digest_does_not_depend_on_the_order_of_keys(content: dict[str, Any]):
    backwards = dict(reversed(content.items()))
    assert digest_of(content) == digest_of(backwards)
    assert digest_of(content | {"sha256": "any"}) == digest_of(content)
    assert digest_of({**content, "further": 1}) != digest_of(content)
