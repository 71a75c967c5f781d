"""Shows the outbox and repairs it: `python -m edge.outbox --database FILE …` lists, sends again or drops deliveries.

FILE has the same format as for `python -m edge.keys`. Exit codes: 0 done, 1 no such delivery is dead, 2 invalid input,
3 the database failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid

from edge.database import Database
from edge.keys import parser_of, run_command

_LIST = """
SELECT o.id, o.class, o.site, o.kind, o.domain, o.addressee, o.item, o.workload, o.answers, o.at, d.target, d.attempts,
    d.error, d.next_at, d.delivered_at, d.dead_at,
    CASE WHEN d.dead_at IS NOT NULL THEN 'dead' WHEN d.delivered_at IS NOT NULL THEN 'delivered' ELSE 'waiting' END
        AS state
FROM isthmus.outbox o LEFT JOIN isthmus.outbox_deliveries d ON d.id = o.id
WHERE $1 OR (d.delivered_at IS NULL)
ORDER BY o.number, d.target
"""
_RETRY = """
UPDATE isthmus.outbox_deliveries SET dead_at = NULL, attempts = 0, next_at = isthmus.now()
WHERE id = $1 AND target = $2 AND dead_at IS NOT NULL RETURNING id
"""
_DROP = (
    "DELETE FROM isthmus.outbox_deliveries WHERE id = $1 AND target = $2 AND dead_at IS NOT NULL RETURNING id"
)


async def show(database: Database, options: argparse.Namespace) -> int:
    """One line of JSON for each delivery that waits or is dead; with --all, delivered ones too."""
    for row in await database.fetch(_LIST, options.all):
        plain = {
            key: value if isinstance(value, (int, type(None))) else str(value) for key, value in row.items()
        }
        print(json.dumps(plain))
    return 0


async def retry(database: Database, options: argparse.Namespace) -> int:
    """Send a dead delivery again, once more until it is given up."""
    return _report(await database.fetch(_RETRY, options.id, options.target), options, "waits again")


async def drop(database: Database, options: argparse.Namespace) -> int:
    """Delete a dead delivery."""
    return _report(await database.fetch(_DROP, options.id, options.target), options, "is dropped")


def main(arguments: list[str] | None = None) -> int:
    """Run one command. An error is one paragraph on standard error. Returns the exit code."""
    return run_command("edge.outbox", _parser(), arguments)


def _report(rows: list[object], options: argparse.Namespace, done: str) -> int:
    if not rows:
        print(
            f"edge.outbox: no dead delivery of {options.id} to {options.target}; `list` shows them",
            file=sys.stderr,
        )
        return 1
    print(f"{options.id} to {options.target} {done}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("edge.outbox", "Notifications about held answers.")
    commands = parser.add_subparsers(required=True)
    listing = commands.add_parser("list", help=show.__doc__)
    listing.add_argument("--all", action="store_true", help="delivered ones too")
    listing.set_defaults(command=show)
    for name, command in (("retry", retry), ("drop", drop)):
        act = commands.add_parser(name, help=command.__doc__)
        act.add_argument("id", type=uuid.UUID, help="of the notification, as `list` shows it")
        act.add_argument("target", help="the target's name")
        act.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
