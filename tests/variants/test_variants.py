"""Changed documents have the outcomes of the samples, and the changes are what they say."""

from __future__ import annotations

import pytest

from tests.fixed_interfaces import tables
from tests.variants.changes import REMOVED, Change, Corpus
from tests.variants.outcomes import SAMPLES, TABLES, packed, table, unpacked


@pytest.mark.parametrize("name", TABLES)
def test_changed_documents_have_the_outcomes_of_the_sample(name: str) -> None:
    sample = tables.read(name, SAMPLES)
    assert sample
    lines = tables.differences(sample, table(name))
    if lines:
        fix = (
            "Fix: change the product back. If you want the change, run `python -m tests.variants --write`, and read"
            f" in `git diff tests/variants/samples/{name}.json` whether only what you meant became different."
        )
        message = [f"Variants of {name} have other outcomes:", *tables.shortened(lines), fix]
        pytest.fail("\n".join(message), pytrace=False)


def test_the_same_seed_gives_the_same_variants() -> None:
    corpus = Corpus({"one": {"a": 1, "b": ["x", "y"]}, "two": {"a": 3, "c": {"d": True}}})
    first = list(corpus.variants(8, "seed"))
    assert first == list(corpus.variants(8, "seed"))
    assert len({label for label, _ in first}) == 8
    assert first != list(corpus.variants(8, "other seed"))


def test_a_change_leaves_the_document_as_it_was() -> None:
    document = {"a": [1, 2], "b": {"c": 3}}
    assert Change(("a", 1), 5).apply(document) == {"a": [1, 5], "b": {"c": 3}}
    assert Change(("b", "c"), REMOVED).apply(document) == {"a": [1, 2], "b": {}}
    assert document == {"a": [1, 2], "b": {"c": 3}}


def test_values_of_similar_places_are_tried() -> None:
    one = {"sites": [{"kind": "aws"}]}
    changes = set(
        map(str, Corpus({"one": one, "two": {"sites": [{"kind": "on-prem", "cost": 4}]}}).changes(one))
    )
    assert {'sites.0.kind = "on-prem"', "sites.0.cost = 4", "sites.0.kind removed"} <= changes


def test_documents_inside_resources_are_changed_as_data() -> None:
    inputs = {"data": {"config.yaml": "mode: gateway\n"}, "policy": '{"Version": "2012-10-17"}', "name": "x"}
    assert unpacked(inputs) == {
        "data": {"config.yaml": {"YAML": {"mode": "gateway"}}},
        "policy": {"JSON": {"Version": "2012-10-17"}},
        "name": "x",
    }
    assert packed(unpacked(inputs)) == inputs | {"data": {"config.yaml": '{"mode": "gateway"}'}}
