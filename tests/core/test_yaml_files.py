"""YAML files: read as 1.2 with lines, refused in one paragraph, written whole."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contracts.requirements.document import Requirements
from isthmus.core import yaml_files
from isthmus.core.errors import EnvironmentFault, InputError
from tests.contracts.bank import REQUIREMENTS

FAULTS = [
    ("a: [", "f.yaml:1", "does not parse"),
    ("a: 1\n b: 2", "f.yaml:2", "does not parse"),
    ("a: 1\na: 2", "f.yaml:2", "the key `a` appears twice (first on line 1)"),
    ("- 1", "f.yaml:1", "a list, not a mapping"),
    ("just text", "f.yaml:1", "not a mapping"),
    ("", "f.yaml", "is empty"),
    ("# only a comment\n", "f.yaml", "is empty"),
    ("a: &x [*x]", "f.yaml:1", "alias points into itself"),
    ("a: .inf", "f.yaml:1", "not a finite number"),
    ("1: a", "f.yaml:1", "a key is not text"),
    ("a: !secret x", "f.yaml:1", "tag"),
    ("a: 1\n---\nb: 2", "f.yaml:2", "does not parse"),
    ("a:\n\t- 1", "f.yaml:2", "does not parse"),
    ("a: \x00", "f.yaml", "does not parse"),
    ("a: " + "[" * 500 + "]" * 500, "f.yaml", "nested too deeply"),
    (
        "a: &a [1,1,1,1,1,1,1,1,1]\n"
        + "".join(
            f"{y}: &{y} [{','.join([f'*{x}'] * 9)}]\n" for x, y in zip("abcdef", "bcdefg", strict=True)
        ),
        "f.yaml:1",
        "the file expands to more than 200000 values",
    ),
]


@pytest.mark.parametrize(("text", "place", "message"), FAULTS)
def test_an_unreadable_file_is_reported_with_place_and_reason(text: str, place: str, message: str):
    with pytest.raises(InputError) as caught:
        yaml_files.loads(text, "f.yaml")
    assert caught.value.where == place
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"none\.yaml: there is no such file"):
        yaml_files.load(tmp_path / "none.yaml")


def test_a_folder_is_not_accepted_as_a_file(tmp_path: Path):
    with pytest.raises(InputError, match="this is a folder"):
        yaml_files.load(tmp_path)


def test_a_file_that_is_not_utf_8_names_the_line(tmp_path: Path):
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(InputError, match=r"latin\.yaml:2: the file is not UTF-8"):
        yaml_files.load(path)


def test_on_off_yes_no_and_dates_are_read_as_text():
    data = yaml_files.loads("a: off\nb: on\nc: no\nd: yes\ne: 2026-01-01\nf: true\ng: 0o17\nh: ~\n").data
    assert data == {
        "a": "off",
        "b": "on",
        "c": "no",
        "d": "yes",
        "e": "2026-01-01",
        "f": True,
        "g": 15,
        "h": None,
    }


def test_the_place_of_a_value_is_its_line_and_named_path():
    document = yaml_files.loads(REQUIREMENTS, "r.yaml")
    where = document.where(("workloads", 1, "model", "candidates", 0, "scores", "fp8"))
    line = REQUIREMENTS.splitlines().index("          scores: {bf16: 0.91, fp8: 0.90}") + 1
    assert str(where) == (
        f"r.yaml:{line} workloads[kyc-extraction].model.candidates"
        "[meta-llama/Llama-3.1-8B-Instruct].scores.fp8"
    )


def test_a_misspelt_key_is_refused_with_the_nearest_one():
    text = REQUIREMENTS.replace("kube_context", "kube_contxt")
    line = next(number for number, line in enumerate(text.splitlines(), 1) if "kube_contxt" in line)
    with pytest.raises(InputError) as caught:
        yaml_files.parse(Requirements, yaml_files.loads(text, "r.yaml"))
    message = str(caught.value)
    assert message.startswith(f"r.yaml:{line} sites[fra1].kube_contxt: unknown key `kube_contxt`")
    assert "Did you mean `kube_context`?" in message
    assert "region" not in message, "keys of an AWS site were offered for an on-prem one"


def test_several_faults_are_each_told_in_full_in_the_order_of_their_lines():
    text = REQUIREMENTS.replace("impact: high", "impact: huge").replace("impact: material", "impact: big")
    with pytest.raises(InputError) as caught:
        yaml_files.parse(Requirements, yaml_files.loads(text, "r.yaml"))
    assert "`huge` is not one of low, material, high" in caught.value.what
    assert [line.split(":")[1].split()[0] for line in caught.value.lines()] == ["6", "21"]
    assert "workloads[kyc-extraction].impact: `big` is not one of" in str(caught.value)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def _shuffled(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shuffled(value[key]) for key in reversed(list(value))}
    return [_shuffled(item) for item in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(), PLAIN, max_size=5))
def test_the_digest_does_not_depend_on_the_order_of_keys(data: dict[str, object]):
    assert yaml_files.digest(_shuffled(data)) == yaml_files.digest(data)


def test_the_digest_is_of_the_files_content_and_no_defaults():
    import hashlib

    assert (
        yaml_files.digest({"b": 1.5, "a": ["ü"]})
        == hashlib.sha256('{"a":["ü"],"b":1.5}'.encode()).hexdigest()
    )
    first, two = yaml_files.loads("a: 1").data, yaml_files.loads("a: 1\nb: ~").data
    assert yaml_files.digest(first) != yaml_files.digest(two)


SAFE = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_characters="\x7f\x85"), max_size=12
)


@given(st.dictionaries(SAFE, SAFE | st.integers() | st.booleans() | st.none() | st.lists(SAFE), min_size=1))
def test_written_values_read_back_the_same(data: dict[str, object]):
    text = yaml_files.dumps(data, "a header\nof two lines")
    assert text.startswith("# a header\n# of two lines\n")
    assert yaml_files.loads(text).data == data
    assert yaml_files.dumps(data, "a header\nof two lines") == text


WORDS = st.lists(
    st.sampled_from(["word", "a longer, word", "", " ", "\n", "x:", "#", "-", "'", '"']), max_size=60
)


@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=3))
def test_long_texts_are_folded_with_no_blank_at_the_end_of_a_line(texts: list[str]):
    text = yaml_files.dumps({"texts": texts, "one": texts[0]})
    assert yaml_files.loads(text).data == {"texts": texts, "one": texts[0]}
    assert [line for line in text.splitlines() if line.endswith(" ")] == []


def test_a_file_is_written_whole_and_keeps_its_mode(tmp_path: Path):
    path = tmp_path / "f.yaml"
    path.write_text("old")
    path.chmod(0o640)
    yaml_files.dump({"b": 1, "a": [2]}, yaml_files.schema_header("schemas/plan.json"), path)
    assert path.read_text() == "# yaml-language-server: $schema=schemas/plan.json\nb: 1\na:\n  - 2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["f.yaml"]


def test_a_missing_folder_is_an_environment_fault(tmp_path: Path):
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        yaml_files.dump({"a": 1}, "", tmp_path / "none" / "f.yaml")
