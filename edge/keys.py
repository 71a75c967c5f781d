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
from edge.config import ConfigError, DataClass, EnvironmentFault
from edge.config.database import read_database_settings
from edge.config.gateway import Allowance
from edge.database import Database, DatabaseDown
from edge.database.migrations import grant, migrate, outdated

_ISSUE = """
INSERT INTO isthmus.keys (digest, workload, class, not_after, models, allowance, evaluation)
VALUES ($1, $2, $3, now() + make_interval(days => $4), $5, $6, $7)
"""
_SUCCEED = """
INSERT INTO isthmus.keys (digest, workload, class, not_after, models, allowance, counted_as, evaluation)
SELECT $1, workload, class, now() + make_interval(days => $3), models, allowance, coalesce(counted_as, id), evaluation
FROM isthmus.keys WHERE id = $2 AND revoked_at IS NULL RETURNING workload, class
"""
_END = """
UPDATE isthmus.keys SET not_after = least(not_after, now() + make_interval(secs => $2)) WHERE id = $1
RETURNING id, not_after
"""
_LIMITS = "SELECT models, allowance FROM isthmus.keys WHERE id = $1 FOR UPDATE"
_LIMIT = "UPDATE isthmus.keys SET models = $2, allowance = $3 WHERE id = $1"
# Keys that end earlier keep their end.
_END_OTHERS = """
UPDATE isthmus.keys SET not_after = least(not_after, now() + make_interval(secs => $4))
WHERE (workload, class) = ($1, $2) AND digest <> $3 AND revoked_at IS NULL AND NOT evaluation
RETURNING id, not_after
"""
_REVOKE = "UPDATE isthmus.keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING workload"
_LIST = """
SELECT id, workload, class, issued_at, issued_by, not_after, revoked_at, models, allowance, counted_as, evaluation,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN not_after <= now() THEN 'expired' ELSE 'valid' END AS state
FROM isthmus.keys WHERE $1::text IS NULL OR workload = $1 ORDER BY class, workload, issued_at, id
"""

NONE = "none"
"""Value of an option that takes a limit away."""
Command = Callable[[Database, argparse.Namespace], Awaitable[int]]


async def issue(database: Database, options: argparse.Namespace) -> int:
    """A new key beside those that the workload has."""
    key = PREFIX + secrets.token_urlsafe(32)
    limits = _limits(options, None, {})
    await database.fetch(_ISSUE, digest_of(key), *_whose(options), options.days, *limits, options.evaluation)
    _print_new_key(key, options)
    return 0


async def rotate(database: Database, options: argparse.Namespace) -> int:
    """A new key; the workload's others, or the one that --key names, end after a while, in which both are good."""
    key = PREFIX + secrets.token_urlsafe(32)
    digest, overlap_s = digest_of(key), options.overlap_h * 3600

    async def issue_and_end_others(connection: Any) -> list[Any]:
        if options.key is not None:
            rows = await connection.fetch(_SUCCEED, digest, options.key, options.days)
            if not rows or (rows[0]["workload"], rows[0]["class"]) != _whose(options):
                raise ConfigError(
                    f"{options.workload} has no valid key {options.key}; `list` shows its keys."
                )
            return await connection.fetch(_END, options.key, overlap_s)
        limits = _limits(options, None, {})
        await connection.execute(_ISSUE, digest, *_whose(options), options.days, *limits, False)
        return await connection.fetch(_END_OTHERS, *_whose(options), digest, overlap_s)

    ended = await database.transaction(issue_and_end_others)
    for row in ended:
        print(f"key {row['id']} is good until {row['not_after']:%Y-%m-%d %H:%M:%S} UTC", file=sys.stderr)
    _print_new_key(key, options)
    return 0


async def limit(database: Database, options: argparse.Namespace) -> int:
    """Change what a key may use; `none` takes a limit away. Limits that are not named stay."""

    async def change(connection: Any) -> bool:
        rows = await connection.fetch(_LIMITS, options.key)
        for row in rows:
            limits = _limits(options, row["models"], json.loads(row["allowance"]))
            await connection.execute(_LIMIT, options.key, *limits)
        return bool(rows)

    if not await database.transaction(change):
        print(f"edge.keys: there is no key {options.key}; `list` shows them", file=sys.stderr)
        return 1
    print(f"key {options.key}: gateways know its limits within {CACHE_S:.0f} s", file=sys.stderr)
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
    for mode in ("gateway", "reviews", "notifier", "usage", "usage_readers"):
        if role := getattr(options, f"{mode}_user"):
            await grant(database, role, mode)
    for role in options.operators_user or []:
        await grant(database, role, "operators")
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
        return asyncio.run(_run(options.command, Database(read_database_settings(options.database)), options))
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


def _whose(options: argparse.Namespace) -> tuple[str, str]:
    return options.workload, options.data_class


def _limits(
    options: argparse.Namespace, models: list[str] | None, allowance: dict[str, Any]
) -> tuple[list[str] | None, str]:
    """The models and the allowance of a key, as JSON, after the options are applied. Raises ConfigError."""
    changes = {
        name: value for name in Allowance.model_fields if (value := getattr(options, name)) is not None
    }
    values = {name: value for name, value in {**allowance, **changes}.items() if value != NONE}
    try:
        limits = Allowance.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
    if options.models is not None:
        models = None if options.models == NONE else [name.strip() for name in options.models.split(",")]
    if models is not None and not all(models):
        raise ConfigError(
            "--models: name models, with commas between them, or `none` for all of the workload."
        )
    return models, limits.model_dump_json(exclude_none=True)


def _add_limits(command: argparse.ArgumentParser) -> None:
    """The options of a key's limits, beside those of its workload and team."""
    command.add_argument("--models", help="models of its workload that it may use, with commas between them")
    for name in Allowance.model_fields:
        number: Callable[[str], Any] = _number_or_none(float if name == "usd_per_month" else int)
        command.add_argument(f"--{name.replace('_', '-')}", type=number, metavar="N")


def _number_or_none(number: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: NONE if text == NONE else number(text)


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
        _add_limits(issue_command)
        if command is issue:
            issue_command.add_argument(
                "--evaluation",
                action="store_true",
                help="for evaluations of models: its answers are never held, and count as no usage",
            )
        if command is rotate:
            issue_command.add_argument(
                "--overlap-h", type=float, default=24.0, help="how long the others stay good (24)"
            )
            issue_command.add_argument(
                "--key", help="id of the one key that ends; the new one has its limits"
            )
    revoke_command = commands.add_parser("revoke", help=revoke.__doc__)
    revoke_command.add_argument("key", help="its id, as `list` shows it")
    revoke_command.set_defaults(command=revoke)
    limit_command = commands.add_parser("limit", help=limit.__doc__)
    limit_command.add_argument("key", help="its id, as `list` shows it")
    _add_limits(limit_command)
    limit_command.set_defaults(command=limit)
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
    migrate_command.add_argument(
        "--operators-user",
        action="append",
        help="a person's user, or a role of several: may stop and restart workloads (`python -m edge.stops`)",
    )
    migrate_command.add_argument(
        "--notifier-user", help="another one: may read the outbox and mark what was sent (`mode: notifier`)"
    )
    migrate_command.add_argument(
        "--usage-user", help="another one: may load the usage ledger and close months (`isthmus usage`)"
    )
    migrate_command.add_argument(
        "--usage-readers-user", help="another one: may read the usage ledger's sums by day"
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
