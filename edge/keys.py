"""Creates the database's tables, and issues, rotates, revokes and lists keys: `python -m edge.keys --database FILE …`.

FILE is YAML with the keys that a gateway's configuration has under `database`, for a database user with write
access. A new key is printed once. Only its SHA-256 is stored. Exit codes: 0 done, 1 the key does not exist, 2
invalid input, 3 the database failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from edge.callers.postgres import CACHE_S, PREFIX
from edge.callers.store import digest_of, id_of
from edge.config import ConfigError, DataClass, EnvironmentFault, read_yaml
from edge.config.database import DatabaseConfig
from edge.database import Database, DatabaseDown
from edge.database.migrations import grant, migrate, outdated

_ISSUE = """
INSERT INTO isthmus.keys (digest, workload, class, not_after)
VALUES ($1, $2, $3, now() + make_interval(days => $4))
"""
# Keys that end earlier keep their end.
_END_OTHERS = """
UPDATE isthmus.keys SET not_after = least(not_after, now() + make_interval(secs => $4))
WHERE (workload, class) = ($1, $2) AND digest <> $3 AND revoked_at IS NULL
RETURNING id, not_after
"""
_REVOKE = "UPDATE isthmus.keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING workload"
_LIST = """
SELECT id, workload, class, issued_at, issued_by, not_after, revoked_at,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN not_after <= now() THEN 'expired' ELSE 'valid' END AS state
FROM isthmus.keys WHERE $1::text IS NULL OR workload = $1 ORDER BY class, workload, issued_at, id
"""

Command = Callable[[Database, argparse.Namespace], Awaitable[int]]


async def issue(database: Database, options: argparse.Namespace) -> int:
    """A new key beside those that the workload has."""
    key = PREFIX + secrets.token_urlsafe(32)
    await database.fetch(_ISSUE, digest_of(key), options.workload, options.data_class, options.days)
    _print_new_key(key, options)
    return 0


async def rotate(database: Database, options: argparse.Namespace) -> int:
    """A new key; the workload's others end after a while, in which both are good."""
    key = PREFIX + secrets.token_urlsafe(32)
    digest, workload_and_class = digest_of(key), (options.workload, options.data_class)

    async def issue_and_end_others(connection: Any) -> list[Any]:
        await connection.execute(_ISSUE, digest, *workload_and_class, options.days)
        return await connection.fetch(_END_OTHERS, *workload_and_class, digest, options.overlap_h * 3600)

    ended = await database.transaction(issue_and_end_others)
    for row in ended:
        print(f"key {row['id']} is good until {row['not_after']:%Y-%m-%d %H:%M:%S} UTC", file=sys.stderr)
    _print_new_key(key, options)
    return 0


async def revoke(database: Database, options: argparse.Namespace) -> int:
    """Refused from now on, and for ever."""
    rows = await database.fetch(_REVOKE, options.key)
    if not rows:
        print(f"edge.keys: there is no key {options.key}; `list` shows them", file=sys.stderr)
        return 1
    print(
        f"key {options.key} of {rows[0]['workload']} is revoked: gateways refuse it within {CACHE_S:.0f} s",
        file=sys.stderr,
    )
    return 0


async def show(database: Database, options: argparse.Namespace) -> int:
    """One line of JSON for each key, without its digest."""
    for row in await database.fetch(_LIST, options.workload):
        print(json.dumps({key: value if value is None else str(value) for key, value in row.items()}))
    return 0


async def make_tables(database: Database, options: argparse.Namespace) -> int:
    """The steps that are missing; and what a gateway's own user may do there."""
    steps_taken = await migrate(database)
    for mode in ("gateway", "reviews"):
        if role := getattr(options, f"{mode}_user"):
            await grant(database, role, mode)
    steps = f"steps {', '.join(map(str, steps_taken))} taken" if steps_taken else "nothing to do"
    print(f"tables: {steps}", file=sys.stderr)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command. An error is one paragraph on standard error. Returns the exit code."""
    return run_command("edge.keys", _parser(), arguments)


def run_command(program: str, parser: argparse.ArgumentParser, arguments: list[str] | None) -> int:
    """Parse the arguments with a parser of `parser_of`, run the command and return the exit code. An error is one
    paragraph on standard error.
    """
    options = parser.parse_args(arguments)
    try:
        return asyncio.run(_run(options.command, Database(config_of(options.database)), options))
    except ConfigError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.exit_code


def parser_of(program: str, description: str) -> argparse.ArgumentParser:
    """A command-line parser with the option `--database`."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument(
        "--database", type=Path, required=True, help="YAML: host, port, name, user, password, ca"
    )
    return parser


async def _run(command: Command, database: Database, options: argparse.Namespace) -> int:
    try:
        if command is not make_tables and (problem := await outdated(database)):
            raise EnvironmentFault(f"{options.database}: {problem}.")
        return await command(database, options)
    except DatabaseDown as error:
        raise EnvironmentFault(
            f"{options.database}: the database did not do it ({error}); is it there, and may this user write?"
        ) from None
    finally:
        await database.close()


def _print_new_key(key: str, options: argparse.Namespace) -> None:
    ends = f"for {options.days} days" if options.days else "until it is rotated or revoked"
    print(
        f"key {id_of(digest_of(key))} of {options.workload}, class {options.data_class}, {ends}:",
        file=sys.stderr,
    )
    print(key)


def config_of(path: Path) -> DatabaseConfig:
    try:
        return DatabaseConfig.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{path}: {key}: {first['msg'].removeprefix('Value error, ')}.") from None


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("edge.keys", "Keys of a class's callers.")
    commands = parser.add_subparsers(required=True)
    for name, command in (("issue", issue), ("rotate", rotate)):
        issue_command = commands.add_parser(name, help=command.__doc__)
        issue_command.add_argument("--workload", required=True)
        issue_command.add_argument("--class", dest="data_class", choices=get_args(DataClass), required=True)
        issue_command.add_argument(
            "--days", type=whole_days, help="how long it is good; absent: until rotated or revoked"
        )
        issue_command.set_defaults(command=command)
        if command is rotate:
            issue_command.add_argument(
                "--overlap-h", type=float, default=24.0, help="how long the others stay good (24)"
            )
    revoke_command = commands.add_parser("revoke", help=revoke.__doc__)
    revoke_command.add_argument("key", help="its id, as `list` shows it")
    revoke_command.set_defaults(command=revoke)
    list_command = commands.add_parser("list", help=show.__doc__)
    list_command.add_argument("--workload")
    list_command.set_defaults(command=show)
    migrate_command = commands.add_parser("migrate", help=make_tables.__doc__)
    migrate_command.add_argument(
        "--gateway-user", help="a user that is there: may read keys and count, no more"
    )
    migrate_command.add_argument(
        "--reviews-user", help="another one: may decide upon held answers (`mode: reviews`)"
    )
    migrate_command.set_defaults(command=make_tables)
    return parser


def whole_days(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 3660:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
