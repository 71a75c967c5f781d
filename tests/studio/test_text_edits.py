"""Edits of YAML text: the value changes, and every comment, key and blank line stays."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.blueprints import starters
from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from isthmus.studio import text_edits

pytestmark = pytest.mark.whole

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [path.read_text("utf-8") for path in sorted((ROOT / "examples").glob("*.requirements.yaml"))]
SOURCES = [
    *(starters.text(starter.industry) for starter in starters.starters()),
    # A value with an alias stands in two places: such an edit is refused (below).
    *(example for example in EXAMPLES if not re.search(r": [&*]\w", example)),
]
TEXT = """\
# A file.
name: demo   # its name
budget:
  # What it may cost.
  monthly_usd: 100  # a month

# The workloads.
workloads:
  - name: one
    residency: [eu,  us]  # both
    traffic: {peak_rps: 1, mean_rps: 0.5}
    purpose: >
      Two lines
      of text.
  # The second one.
  - name: "two"
    languages:
      - en
      - de
# The end.
"""


def data(text: str) -> Any:
    return yaml_files.loads(text).data


def test_a_value_is_replaced_and_all_else_stays():
    assert text_edits.set_value(TEXT, ("budget", "monthly_usd"), 250.5) == TEXT.replace(
        "monthly_usd: 100 ", "monthly_usd: 250.5 "
    )
    assert text_edits.set_value(TEXT, ("workloads", 1, "name"), "on: off") == TEXT.replace(
        '"two"', "'on: off'"
    )
    assert text_edits.set_value(TEXT, ("workloads", 0, "residency"), ["de"]) == TEXT.replace(
        "[eu,  us]", "[de]"
    )


def test_a_key_is_added_below_the_last_one_of_its_part_and_above_the_next_comment():
    edited = text_edits.set_value(TEXT, ("budget", "currency"), "USD")
    assert edited == TEXT.replace("# a month\n", "# a month\n  currency: USD\n")
    edited = text_edits.set_value(TEXT, ("workloads", 0, "impact"), "high")
    assert edited == TEXT.replace("of text.\n", "of text.\n    impact: high\n")


def test_keys_that_lead_to_a_value_are_added():
    edited = text_edits.set_value(TEXT, ("planning", "failures", "node"), {"repair_hours": 4})
    assert data(edited)["planning"] == {"failures": {"node": {"repair_hours": 4}}}
    assert edited.startswith(TEXT.replace("# The end.\n", "").rstrip("\n"))


def test_a_key_of_a_mapping_on_one_line_is_added_to_that_line():
    edited = text_edits.set_value(TEXT, ("workloads", 0, "traffic", "profile"), "always")
    assert "traffic: {peak_rps: 1, mean_rps: 0.5, profile: always}\n" in edited


def test_an_item_is_added_after_the_last_one():
    edited = text_edits.add_item(TEXT, ("workloads",), {"name": "three", "languages": ["fr"]})
    assert edited == TEXT.replace("      - de\n", "      - de\n  - name: three\n    languages: [fr]\n")
    assert data(text_edits.add_item(TEXT, ("sites",), {"name": "here"}))["sites"] == [{"name": "here"}]


def test_removing_an_item_or_a_key_leaves_the_comments_above_it():
    edited = text_edits.remove(TEXT, ("workloads", 1))
    assert edited == TEXT.replace('  - name: "two"\n    languages:\n      - en\n      - de\n', "")
    assert text_edits.remove(TEXT, ("workloads", 0, "purpose")) == TEXT.replace(
        "    purpose: >\n      Two lines\n      of text.\n", ""
    )


def test_removing_the_first_key_of_an_item_moves_the_dash_to_the_next():
    edited = text_edits.remove(TEXT, ("workloads", 1, "name"))
    assert "  - languages:\n      - en\n" in edited


def test_a_part_from_which_everything_is_removed_is_empty_and_not_missing():
    edited = text_edits.remove(TEXT, ("budget", "monthly_usd"))
    assert data(edited)["budget"] == {}
    assert comments(edited) == comments(TEXT)


@pytest.mark.parametrize(
    "path", [("budget", "monthly_usd", "deeper"), ("workloads", 7, "name"), ("workloads", "name")]
)
def test_a_place_that_does_not_exist_is_refused(path: tuple[str | int, ...]):
    with pytest.raises(InputError, match="no such place"):
        text_edits.set_value(TEXT, path, 1)


def test_a_layout_that_the_edit_would_damage_is_refused_and_not_damaged():
    # An alias writes a value in two places: a change of one would change the other.
    text = "base: &b {rate: 1}\nother: *b\n"
    with pytest.raises(InputError, match="Change it in the text of the file"):
        text_edits.set_value(text, ("other", "rate"), 2)


def comments(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith("#")]


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [(*path, key) for key, _ in inner]
    for key, below in value.items() if isinstance(value, dict) else enumerate(value) if found else ():
        found += paths(below, (*path, key))
    return found


VALUES = st.one_of(
    st.booleans(),
    st.none(),
    st.integers(-(10**9), 10**9),
    st.floats(-1e9, 1e9),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=30),
    st.lists(st.sampled_from(["a", "b c", "d: e", "#f", "[g"]), max_size=3),
    st.dictionaries(st.sampled_from(["fp8", "bf16", "a b"]), st.floats(0, 1), max_size=2),
)


@given(st.sampled_from(SOURCES), st.data(), VALUES)
def test_any_edit_makes_the_data_that_it_should_and_keeps_every_comment(
    source: str, drawn: st.DataObject, value: Any
):
    before = data(source)
    path = drawn.draw(st.sampled_from(paths(before)))
    expected = copy.deepcopy(before)
    parent = expected
    for part in path[:-1]:
        parent = parent[part]
    if drawn.draw(st.booleans()):
        parent[path[-1]] = value
        try:
            edited = text_edits.set_value(source, path, value)
        except InputError:
            # A refusal damages nothing. Letters of ASCII are never refused.
            assert not str(value).isascii()
            return
    else:
        del parent[path[-1]]
        edited = text_edits.remove(source, path)
    assert data(edited) == expected
    if not isinstance(path[-1], int) and not isinstance(_at(before, path), (dict, list)):
        assert comments(edited) == comments(source)


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        value = value[part]
    return value
