"""Fills the digests of images.lock.yaml from registries. Moved tags are reported, and taken only with `update`."""

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
    """Result for one image or chart."""

    name: str
    asked: str
    """The reference that was looked up."""
    was: str | None
    now: str | None
    """The digest in the registry; None if the lookup failed."""
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
    """The lock with the digests of these images and charts, and the result for each.

    `mirror`: registry to ask instead of each image's own. `update`: also take the digests of moved tags.
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
    """The reference to look up for an image of the lock."""
    upstream = lock.images[name].upstream
    if mirror is not None:
        return upstream.at(mirror)
    if upstream.registry == LOCAL:
        raise InputError(
            f"`{upstream}` is built from this checkout (edge/Containerfile) and is not in a registry yet",
            fix="Push it to your registry, then give that with --registry or as upstream in the lock",
        )
    return upstream


def chart_reference(lock: ImagesLock, name: str, mirror: str | None) -> Reference:
    """The reference to look up for a chart of the lock."""
    chart = lock.charts[name]
    if mirror is not None:
        return chart.in_mirror(name, mirror)
    upstream = chart.upstream(name)
    if upstream is None:
        raise InputError(
            f"{chart.repository} is a chart repository with an index, not an OCI registry",
            fix=f"Push the chart to your registry as charts/{name} (`helm push`), then give that with --registry",
        )
    return upstream
