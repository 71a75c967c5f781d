"""Fill the digests of the lock from registries; a tag that has moved is told, and taken only when asked to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from isthmus.contracts.images_lock import Image, ImagesLock
from isthmus.core.errors import InputError, IsthmusError
from isthmus.core.image_references import LOCAL, Reference

State = Literal["new", "same", "moved", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of one image or chart."""

    name: str
    asked: str
    """The reference whose digest was asked for."""
    was: str | None
    now: str | None
    """None where it could not be found out."""
    why: str = ""

    @property
    def state(self) -> State:
        if self.now is None:
            return "failed"
        if self.was is None:
            return "new"
        return "same" if self.was == self.now else "moved"


def resolve(
    lock: ImagesLock,
    images: Iterable[Image],
    charts: Iterable[str],
    ask: Callable[[Reference], str],
    *,
    mirror: str | None = None,
    update: bool = False,
) -> tuple[ImagesLock, list[Outcome]]:
    """The lock with the digests of these images and charts, and what became of each.

    `mirror`: the registry to ask in place of each one's own. `update`: take the digests of moved tags too.
    """
    outcomes: list[Outcome] = []
    found: tuple[dict[str, str], dict[str, str]] = ({}, {})
    wanted = [(name, lock.images[name], found[0]) for name in images]
    for name, locked, into in [*wanted, *((name, lock.charts[name], found[1]) for name in charts)]:
        asked = name
        try:
            place = image_at(lock, name, mirror) if into is found[0] else chart_at(lock, name, mirror)
            asked = str(place)
            outcome = Outcome(name, asked, locked.digest, ask(place))
        except IsthmusError as error:
            outcome = Outcome(name, asked, locked.digest, None, str(error))
        outcomes.append(outcome)
        if outcome.now and (outcome.state == "new" or update):
            into[name] = outcome.now
    return lock.with_digests(*found), outcomes


def image_at(lock: ImagesLock, name: Image, mirror: str | None) -> Reference:
    """Where to ask for an image of the lock."""
    upstream = lock.images[name].upstream
    if mirror is not None:
        return upstream.at(mirror)
    if upstream.registry == LOCAL:
        raise InputError(
            f"`{upstream}` is built from this checkout (edge/Containerfile) and in no registry yet",
            fix="Push it to your own and ask that with --registry, or name it there in the lock",
        )
    return upstream


def chart_at(lock: ImagesLock, name: str, mirror: str | None) -> Reference:
    """Where to ask for a chart of the lock."""
    chart = lock.charts[name]
    if mirror is not None:
        return chart.in_mirror(name, mirror)
    upstream = chart.upstream(name)
    if upstream is None:
        raise InputError(
            f"{chart.repository} is a repository with an index and no registry",
            fix=f"Push the chart to your own registry as charts/{name} (`helm push`) and ask that with --registry",
        )
    return upstream
