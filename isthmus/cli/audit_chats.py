"""Conversations of chats under `isthmus audit hold | release | erase`: each chat's database is a file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from isthmus.core.errors import EnvironmentFault, InputError, Refused

if TYPE_CHECKING:
    from edge.database import Database

T = TypeVar("T")


Files = Sequence[Path] | None
"""Files with the databases of chats."""


def name_in(chats: Files, user: str | None, *, everybody: bool = False) -> str:
    """The name by which chats know the person. Raises `InputError` without one."""
    if everybody or not chats:
        return "all"
    if user is None:
        raise InputError(
            "a chat knows people by their names, and --subject is a pseudonym",
            where="--chats",
            fix="Give --user with --site-key",
        )
    return user


def hold(chats: Files, name: str, by: str, reason: str) -> None:
    """Keep the person's conversations. Raises `InputError` or `EnvironmentFault`."""
    from edge.chats import histories

    _each(chats, lambda database: histories.hold(database, name, by, reason))


def release(chats: Files, name: str) -> None:
    """End the hold."""
    from edge.chats import histories

    _each(chats, lambda database: histories.release(database, name))


def require_no_hold(chats: Files, name: str) -> None:
    """Raise `Refused` if a chat holds the person's conversations."""
    from edge.chats import histories

    if any(_each(chats, lambda database: histories.is_held(database, name))):
        raise Refused(f"a legal hold keeps the conversations of {name}", where="--chats")


def erase(chats: Files, name: str) -> int:
    """Delete the person's conversations, and count them."""
    from edge.chats import histories

    return sum(_each(chats, lambda database: histories.erase(database, name)))


def _each(chats: Files, work: Callable[[Database], Awaitable[T]]) -> list[T]:
    return [asyncio.run(_in(file, work)) for file in chats or ()]


async def _in(file: Path, work: Callable[[Database], Awaitable[T]]) -> T:
    from pydantic import ValidationError

    from edge.config import ConfigError, read_yaml
    from edge.config.database import DatabaseConfig
    from edge.database import Database, DatabaseDown

    try:
        database = Database(DatabaseConfig.model_validate(read_yaml(file)))
    except (ConfigError, ValidationError) as error:
        fix = "Write host, port, name, user, password and ca, as in docs/chat.md"
        raise InputError(f"it is not the database of a chat: {error}", where=str(file), fix=fix) from None
    try:
        return await work(database)
    except DatabaseDown as error:
        raise EnvironmentFault(f"the database of the chat failed: {error}", where=str(file)) from None
    finally:
        await database.close()
