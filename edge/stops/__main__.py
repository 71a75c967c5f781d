"""Stops and restarts workloads in the database: `python -m edge.stops --database FILE …`.

FILE is as for `python -m edge.keys`, with a database user of the person's own: the acts bear its name. Exit codes: 0
done, 1 refused, 2 invalid input, 3 the database failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import get_args

from edge.config import DataClass
from edge.database import Database
from edge.keys import parser_of, run_command
from edge.openai_api import Refusal, is_reason
from edge.stops import acts, is_message


async def stop(database: Database, options: argparse.Namespace) -> int:
    """Stop a workload: gateways refuse it within 5 s."""
    done = await database.transaction(
        lambda connection: acts.stop(
            connection,
            (options.data_class, options.site),
            options.workload,
            options.reason,
            options.message,
        )
    )
    print(f"{options.workload}: {done.outcome}, stop {done.id}", file=sys.stderr)
    return 0


async def restart(database: Database, options: argparse.Namespace) -> int:
    """Ask for a restart. The second person restarts the workload."""
    try:
        done = await database.transaction(
            lambda connection: acts.restart(connection, options.stop, options.reason)
        )
    except Refusal as refusal:
        print(f"edge.stops: {refusal.message}", file=sys.stderr)
        return 1
    second = "" if done.outcome == "restarted" else "; another person must ask too, within four hours"
    print(f"{done.outcome}{second}", file=sys.stderr)
    return 0


async def show(database: Database, options: argparse.Namespace) -> int:
    """One line of JSON for each stop."""
    rows = await database.transaction(
        lambda connection: acts.listed(connection, None, None, None, ended=options.ended)
    )
    for row in rows:
        print(json.dumps(row))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command. An error is one paragraph on standard error. Returns the exit code."""
    return run_command("edge.stops", _parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("edge.stops", "Stops of workloads.")
    commands = parser.add_subparsers(required=True)
    new = commands.add_parser("stop", help=stop.__doc__)
    new.add_argument("--workload", required=True)
    new.add_argument("--class", dest="data_class", choices=get_args(DataClass), required=True)
    new.add_argument("--site", required=True)
    new.add_argument("--reason", type=_reason, required=True, help="a word: wrong-answers")
    new.add_argument("--message", type=_message, default="", help="for people who call the workload")
    new.set_defaults(command=stop)
    again = commands.add_parser("restart", help=restart.__doc__)
    again.add_argument("stop", help="its id, as `list` shows it")
    again.add_argument("--reason", type=_reason, default=acts.RESTART_REASON, help="a word: fixed")
    again.set_defaults(command=restart)
    listing = commands.add_parser("list", help=show.__doc__)
    listing.add_argument("--ended", action="store_true", help="also those that are over")
    listing.set_defaults(command=show)
    return parser


def _reason(text: str) -> str:
    if not text or not is_reason(text):
        raise argparse.ArgumentTypeError(f"{text!r} must be at most 40 of a-z, 0-9 and -")
    return text


def _message(text: str) -> str:
    if not is_message(text):
        raise argparse.ArgumentTypeError("a message is one line of at most 500 characters")
    return text


if __name__ == "__main__":
    sys.exit(main())
