"""The first settings of a stack."""

from __future__ import annotations

import pytest

from isthmus.blueprints import settings_template
from isthmus.core import yaml_files
from isthmus.core.errors import InputError

WANTED = [
    ("images.registry", "registry.example"),
    ("endpoints[a].weights.uri", "pvc://m"),
    ("endpoints[a].weights.digest", "sha256:<64 hex digits>"),
    ("endpoints[b].weights.uri", "pvc://n"),
    ("pools[p].node_names", "[one, two]"),
    ("budgets[x].monthly_usd", "500"),
]


def test_paths_become_a_tree_with_list_elements_found_by_id_or_name():
    assert settings_template.overrides_tree(WANTED) == {
        "images": {"registry": "registry.example"},
        "endpoints": [
            {"id": "a", "weights": {"uri": "pvc://m", "digest": "sha256:<64 hex digits>"}},
            {"id": "b", "weights": {"uri": "pvc://n"}},
        ],
        "pools": [{"name": "p", "node_names": ["one", "two"]}],
        "budgets": [{"name": "x", "monthly_usd": 500}],
    }


def test_a_given_value_replaces_the_example():
    tree = settings_template.overrides_tree(WANTED[:1], lambda path, example: f"{path} was {example}")
    assert tree == {"images": {"registry": "images.registry was registry.example"}}


def test_an_invalid_path_is_refused():
    with pytest.raises(InputError, match="not a valid path of an override"):
        settings_template.overrides_tree([("images..registry", "a")])


def test_sandbox_settings_are_active_and_others_are_placeholders():
    tree = settings_template.overrides_tree(WANTED)
    closed = yaml_files.loads(settings_template.settings_text("s", tree, sandbox=True)).data["config"]
    assert closed["isthmus:overrides"] == tree
    assert closed["isthmus:sandbox"] == "true"
    text = settings_template.settings_text("s", tree, sandbox=False)
    assert set(yaml_files.loads(text).data["config"]) == {"pulumi:disable-default-providers"}
    body = text.partition("  # isthmus:overrides:\n")[2]
    assert yaml_files.loads("".join(f"{line[4:]}\n" for line in body.splitlines())).data == tree
