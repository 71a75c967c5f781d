"""Options --made and --not-made: the user's answers about undecided creations of an interrupted run."""

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


def parse_answers(made_pairs: list[str] | None, not_made: list[str] | None) -> Answers:
    """Parse both options. Raises `InputError` for a wrong form and for contradictory answers."""
    from isthmus.core.errors import InputError
    from isthmus.engine.recovery.recovery import Answers

    ids = {}
    for pair in made_pairs or []:
        # A URN holds no `=`; an id may.
        name, _, id = pair.partition("=")
        if not (name and id):
            raise InputError(
                f"`{pair}` does not have the form NAME=ID",
                where="--made",
                fix="Write it like --made bank-frankfurt-vpc=vpc-0a1b",
            )
        if ids.setdefault(name, id) != id:
            raise InputError(
                f"`{name}` has two ids in --made",
                where="--made",
                fix="Keep the id that exists in the account, and remove the other",
            )
    parsed = Answers(ids, frozenset(not_made or []))
    parsed.agree()
    return parsed
