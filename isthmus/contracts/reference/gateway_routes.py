"""The further places of a route in a gateway's configuration, as it is written (`edge.config.routes`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

_LISTS, _SINGLE = ("also", "fallback"), ("canary", "overflow")


def other_places(read: Callable[[str], Any]) -> Iterator[tuple[str, Any]]:
    """The key and the value of each further place of a route. `read`: gives the value of a key, or None."""
    for key in _LISTS:
        places = read(key)
        for place in places if isinstance(places, list) else ():
            if place is not None:
                yield key, place
    for key in _SINGLE:
        if (place := read(key)) is not None:
            yield key, place
