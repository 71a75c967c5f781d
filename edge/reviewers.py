"""Manages reviewers' keys: `python -m edge.reviewers --database FILE …` issues, revokes and lists them.

Reviewers are the people who decide on held answers. FILE has the same format as for `python -m edge.keys`, which
creates the tables. A new key is printed once. Only its SHA-256 is stored. A person may have several keys but has
only one name. Exit codes: 0 done, 1 the key does not exist, 2 invalid input, 3 the database failed.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import sys
from typing import get_args

from edge.callers.store import digest_of, id_of
from edge.config import DataClass
from edge.database import Database
from edge.keys import parser_of, run_command, whole_days
from edge.reviews.reviewers import PREFIX

_ISSUE = """
INSERT INTO isthmus.reviewer_keys (digest, reviewer, class, workloads, senior, not_after)
VALUES ($1, $2, $3, $4, $5, now() + make_interval(days => $6))
"""
_REVOKE = """
UPDATE isthmus.reviewer_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 OR reviewer = $1
RETURNING id, reviewer
"""
_LIST = """
SELECT id, reviewer, class, workloads, senior, issued_at, issued_by, not_after, revoked_at,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN not_after <= now() THEN 'expired' ELSE 'valid' END AS state
FROM isthmus.reviewer_keys ORDER BY class, reviewer, issued_at, id
"""


async def issue(database: Database, options: argparse.Namespace) -> int:
    """A new key of a person, for a class or for some of its workloads."""
    key = PREFIX + secrets.token_urlsafe(32)
    digest = digest_of(key)
    await database.fetch(
        _ISSUE,
        *(digest, options.reviewer, options.data_class, options.workload, options.senior, options.days),
    )
    scope = ", ".join(options.workload) if options.workload else "every workload"
    senior = " and what was escalated" if options.senior else ""
    ends = f"for {options.days} days" if options.days else "until it is revoked"
    print(
        f"key {id_of(digest)} of {options.reviewer}: {scope} of class {options.data_class}{senior}, {ends}:",
        file=sys.stderr,
    )
    print(key)
    return 0


async def revoke(database: Database, options: argparse.Namespace) -> int:
    """Refused from the next request on: a key by its id, or all of a person's."""
    rows = await database.fetch(_REVOKE, options.key)
    if not rows:
        print(f"edge.reviewers: there is no key {options.key}; `list` shows them", file=sys.stderr)
        return 1
    for row in rows:
        print(f"key {row['id']} of {row['reviewer']} is revoked", file=sys.stderr)
    return 0


async def show(database: Database, options: argparse.Namespace) -> int:
    """One line of JSON for each key, without its digest."""
    for row in await database.fetch(_LIST):
        plain = {
            key: value if isinstance(value, (list, bool, type(None))) else str(value)
            for key, value in row.items()
        }
        print(json.dumps(plain))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command. An error is one paragraph on standard error. Returns the exit code."""
    return run_command("edge.reviewers", _parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("edge.reviewers", "Keys of reviewers.")
    commands = parser.add_subparsers(required=True)
    new = commands.add_parser("issue", help=issue.__doc__)
    new.add_argument("--reviewer", type=_name, required=True, help="the person: erika@example.org")
    new.add_argument("--class", dest="data_class", choices=get_args(DataClass), required=True)
    new.add_argument("--workload", action="append", help="one that this person looks at (absent: all)")
    new.add_argument("--senior", action="store_true", help="decides what was escalated, too")
    new.add_argument("--days", type=whole_days, help="how long it is good; absent: until revoked")
    new.set_defaults(command=issue)
    revoked = commands.add_parser("revoke", help=revoke.__doc__)
    revoked.add_argument("key", help="its id as `list` shows it, or the person's name")
    revoked.set_defaults(command=revoke)
    commands.add_parser("list", help=show.__doc__).set_defaults(command=show)
    return parser


def _name(text: str) -> str:
    # Names are lower case, so that one person has one name and counts as one approver.
    if not re.fullmatch(r"[a-z0-9][a-z0-9._@+-]{0,119}", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be lower-case letters, digits and . _ @ + -")
    return text


if __name__ == "__main__":
    sys.exit(main())
