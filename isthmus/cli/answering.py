"""What the user says about creations of a cut-off run that Isthmus could not decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from isthmus.engine.recovery.recovery import Answers

MadeIds = Annotated[
    list[str] | None,
    typer.Option(
        "--made",
        metavar="NAME=ID",
        help="The interrupted run created this resource, with this id (docs/recovery.md).",
        show_default=False,
    ),
]
NotMade = Annotated[
    list[str] | None,
    typer.Option(
        "--not-made",
        metavar="NAME",
        help="The interrupted run did not create this resource.",
        show_default=False,
    ),
]


def answers(made: list[str] | None, not_made: list[str] | None) -> Answers:
    """The two options together; `InputError` where they do not have their form, or contradict each other."""
    from isthmus.core.errors import InputError
    from isthmus.engine.recovery.recovery import Answers

    ids = {}
    for each in made or []:
        # A URN holds no `=`; an id may.
        name, _, id = each.partition("=")
        if not (name and id):
            raise InputError(
                f"`{each}` is not NAME=ID",
                where="--made",
                fix="For example --made bank-frankfurt-vpc=vpc-0a1b",
            )
        if ids.setdefault(name, id) != id:
            raise InputError(
                f"`{name}` is said to be made with two ids", where="--made", fix="Give the one that exists"
            )
    found = Answers(ids, frozenset(not_made or []))
    found.agree()
    return found
