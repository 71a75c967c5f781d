"""Recipes of fine-tunes: an error names file, line and key, and says what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trainer.written import DIGEST
from trainer import recipe as recipes
from trainer.errors import TrainerError

TEXT = f"""\
name: kyc-fields
class: confidential
base: {{model: tiny, digest: "{DIGEST}", licence: apache-2.0}}
data:
  - sanitised: clean
    sha256: "{DIGEST}"
    licence: internal use
training:
  seed: 7
"""


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    return file


def test_a_recipe_with_the_least_keys_trains_a_lora_adapter_and_checks_what_it_memorised(tmp_path: Path):
    recipe = recipes.load(write(tmp_path, TEXT))
    assert (recipe.name, recipe.data_class, recipe.method) == ("kyc-fields", "confidential", "lora")
    assert recipe.memorisation.canaries >= 4


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("seed: 7", "seed: 7\n  sed: 8", "10 training.sed", "this key is unknown"),
        ("seed: 7", "learning-rate: 1", "8 training.seed", "this key is missing"),
        ("  seed: 7", "  seed: 7\nlearning-rate: 1", "10 learning-rate", "this key is unknown"),
        ("confidential", "secret", "2 class", "'public', 'internal', 'confidential' or 'restricted', not 'secret'"),
        (DIGEST, "abc", "3 base.digest", "`sha256:` and 64 hexadecimal digits, not 'abc'"),
        ("sanitised: clean", "corrections: a\n    sanitised: b", "5 data[0]", "either `sanitised` or `corrections`"),
        ("licence: internal use", "groups: [a]", "5 data[0]", "a sanitised data set needs its `licence`"),
        ("seed: 7", "seed: 7\nlora: {targets: []}", "10 lora.targets", "at least 1 item"),
        ("seed: 7", "seed: 7\n  seed: 8", "10", "duplicate key"),
        (TEXT, "[]", "", "the file is not a recipe"),
    ],
)  # fmt: skip
def test_an_error_of_a_recipe_names_line_and_key(tmp_path: Path, old: str, new: str, where: str, what: str):
    file = write(tmp_path, TEXT.replace(old, new, 1))
    with pytest.raises(TrainerError) as caught:
        recipes.load(file)
    assert what in caught.value.what
    assert caught.value.where == (f"{file}:{where}" if where else str(file))
    assert caught.value.kind == "input"


def test_the_digest_of_a_recipe_changes_with_a_value_and_not_with_layout_or_places(tmp_path: Path):
    digest = recipes.load(write(tmp_path, TEXT)).sha256()
    same = TEXT.replace("sanitised: clean", "sanitised: elsewhere").replace(
        "  seed: 7", "  # why\n  seed:   7"
    )
    assert recipes.load(write(tmp_path, same)).sha256() == digest
    assert recipes.load(write(tmp_path, TEXT.replace("seed: 7", "seed: 8"))).sha256() != digest
