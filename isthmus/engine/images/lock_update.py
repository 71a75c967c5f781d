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
    new_digests: tuple[dict[str, str], dict[str, str]] = ({}, {})
    image_rows = [(name, lock.images[name], new_digests[0]) for name in images]
    for name, locked, digests in [
        *image_rows,
        *((name, lock.charts[name], new_digests[1]) for name in charts),
    ]:
        reference = name
        try:
            location = (
                image_reference(lock, name, mirror)
                if digests is new_digests[0]
                else chart_reference(lock, name, mirror)
            )
            reference = str(location)
            outcome = Outcome(name, reference, locked.digest, ask(location))
        except IsthmusError as error:
            outcome = Outcome(name, reference, locked.digest, None, str(error))
        outcomes.append(outcome)
        if outcome.now and (outcome.state == "new" or update):
            digests[name] = outcome.now
    return lock.with_digests(*new_digests), outcomes


def image_reference(lock: ImagesLock, name: Image, mirror: str | None) -> Reference:
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


def chart_reference(lock: ImagesLock, name: str, mirror: str | None) -> Reference:
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
