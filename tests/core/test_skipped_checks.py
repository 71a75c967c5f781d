"""Checks that pydantic skips because a value is invalid still run on the values that are valid."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, model_validator

from isthmus.contracts.vocabulary import FilePart
from isthmus.core import yaml_files
from isthmus.core.errors import FieldError, InputError, Refused, join, raise_all
from isthmus.core.uniqueness import unique


class Shelf(FilePart):
    kind: Literal["shelf"]
    name: str
    width: int = 1
    books: int = 0

    @model_validator(mode="after")
    def _room(self) -> Shelf:
        if self.books > self.width:
            raise FieldError(f"{self.books} books need more room", "books", fix="Add room")
        return self


class Box(FilePart):
    kind: Literal["box"]
    name: str


class Single(FilePart):
    """May be written as a number."""

    value: int

    @model_validator(mode="before")
    @classmethod
    def _number(cls, data: Any) -> Any:
        return {"value": data} if isinstance(data, int) else data


class Room(FilePart):
    size: int
    single: Single | None = None
    parts: list[Annotated[Shelf | Box, Field(discriminator="kind")]] = []
    by_name: dict[str, int] = {}

    @model_validator(mode="after")
    def _names(self) -> Room:
        unique(self.parts, "name", "parts")
        return self

    @model_validator(mode="after")
    def _size(self) -> Room:
        if len(self.parts) > self.size:
            raise FieldError("too many parts", "parts", fix="Remove one", refused=True)
        return self


def lines(text: str) -> list[str]:
    with pytest.raises((InputError, Refused)) as caught:
        yaml_files.parse(Room, yaml_files.loads(text, "f"))
    return [line.partition(". Fix")[0].rstrip(".") for line in caught.value.lines()]


def test_a_check_of_a_part_runs_although_another_part_is_invalid():
    found = lines(
        "size: 9\nparts:\n- {kind: shelf, name: a, width: 1, books: 3}\n- {kind: shelf, name: b, width: x}\n"
    )
    assert found == [
        "f:3 parts[a].books: 3 books need more room",
        "f:4 parts[b].width: `x` is text; expected a whole number",
    ]


def test_each_check_of_a_part_runs_although_an_earlier_one_fails():
    found = lines("size: 1\nparts:\n- {kind: box, name: a}\n- {kind: box, name: a}\n- {kind: box, name: a}\n")
    assert found == [
        "f:3 parts: too many parts",
        "f:4 parts[a].name: `a` appears twice in parts (parts[0] and parts[1])",
        "f:5 parts[a].name: `a` appears twice in parts (parts[0] and parts[2])",
    ]


def test_a_check_that_reads_an_invalid_value_is_left_out():
    found = lines("size: many\nparts: [{kind: box, name: a}, {kind: box, name: a}]\n")
    assert found == [
        "f:1 size: `many` is text; expected a whole number",
        "f:2 parts[a].name: `a` appears twice in parts (parts[0] and parts[1])",
    ]


def test_a_part_whose_form_is_converted_first_is_left_out():
    assert lines("size: 1\nsingle: text\n") == [
        "f:2 single: `text` is not valid: a mapping (`key: value` lines) is expected"
    ]


def test_a_misspelt_key_hides_the_missing_one_that_it_means_and_no_other():
    found = lines("sise: 1\nparts: [{kind: box}]\n")
    assert found[0].startswith("f:1 sise: unknown key `sise`")
    assert "f:2 parts[0].name: the key `name` is missing" in found
    assert not any("`size` is missing" in line for line in found)


def test_the_first_error_decides_the_exit_code_of_several():
    refused, wrong = Refused("no"), InputError("bad")
    assert (join([refused, wrong]).exit_code, join([wrong, refused]).exit_code) == (1, 2)
    assert join([wrong, refused]).lines() == ["bad.", "no."]


def test_raising_several_errors_raises_the_first_with_the_others():
    raise_all([])
    with pytest.raises(FieldError) as caught:
        raise_all(FieldError(text) for text in "abc")
    assert [error.what for error in caught.value.all] == ["a", "b", "c"]
    with pytest.raises(FieldError) as again:
        raise_all([FieldError("z"), caught.value])
    assert [error.what for error in again.value.all] == ["z", "a", "b", "c"]
