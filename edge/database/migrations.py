"""The tables as numbered migration steps. A step runs once, in a transaction, and is never changed."""

from __future__ import annotations

import re
from typing import Any

from edge.database import (
    appeals,
    asked,
    board,
    caller_limits,
    canaries,
    desk,
    held_answers,
    outbox,
    planted,
    release_approvals,
    release_judge,
    release_moves,
    release_outcomes,
    review_deadlines,
    review_people,
    stops,
    transit,
    usage,
    webhooks,
)
from edge.database.connection import Database, DatabaseDown

_LOCK = 4_715_921  # any fixed number: concurrent migrations run one after the other
_REACHED = "SELECT coalesce(max(number), 0) AS reached FROM isthmus.migrations"
_START = """
CREATE SCHEMA IF NOT EXISTS isthmus;
CREATE TABLE IF NOT EXISTS isthmus.migrations (
    number integer PRIMARY KEY,
    taken_at timestamptz NOT NULL DEFAULT now()
);
"""
_KEYS = """
CREATE TABLE isthmus.keys (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    id text NOT NULL UNIQUE GENERATED ALWAYS AS (substr(encode(digest, 'hex'), 1, 12)) STORED,
    workload text NOT NULL CHECK (workload <> ''),
    class text NOT NULL CHECK (class IN ('public', 'internal', 'confidential', 'restricted')),
    issued_at timestamptz NOT NULL DEFAULT now(),
    issued_by text NOT NULL DEFAULT session_user,
    not_after timestamptz,
    revoked_at timestamptz
);
CREATE INDEX keys_of_a_workload ON isthmus.keys (class, workload);
"""
# `lease` takes a part of the remaining amount for one replica of the gateway, atomically. So the sum of all leases
# never exceeds the limit. The database's clock decides the period, whatever the replicas' clocks say. A row holds
# its current period only, so the table does not grow.
_USED = """
CREATE TABLE isthmus.used (
    scope text NOT NULL,
    unit text NOT NULL,
    since timestamptz NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (scope, unit)
);
CREATE FUNCTION isthmus.lease(
    for_scope text, for_unit text, period text, most bigint, need bigint, want bigint,
    OUT granted bigint, OUT began timestamptz, OUT ends_in double precision
) LANGUAGE plpgsql AS $$
DECLARE have bigint;
BEGIN
    INSERT INTO isthmus.used VALUES (for_scope, for_unit, '-infinity', 0) ON CONFLICT DO NOTHING;
    SELECT amount, since INTO have, began FROM isthmus.used
        WHERE (scope, unit) = (for_scope, for_unit) FOR UPDATE;
    IF began < date_trunc(period, clock_timestamp(), 'UTC') THEN
        began := date_trunc(period, clock_timestamp(), 'UTC');
        have := 0;
    END IF;
    ends_in := extract(epoch FROM
        date_trunc(period, began + ('1 ' || period)::interval, 'UTC') - clock_timestamp());
    granted := CASE WHEN most - have < need THEN 0
        ELSE greatest(need, least(want, (most - have) / 4)) END;
    UPDATE isthmus.used SET amount = have + granted, since = began
        WHERE (scope, unit) = (for_scope, for_unit);
END $$;
"""
_ACCOUNTS = """
CREATE TABLE isthmus.accounts (
    day date NOT NULL,
    class text NOT NULL,
    site text NOT NULL,
    team text NOT NULL,
    workload text NOT NULL,
    model text NOT NULL,
    endpoint text NOT NULL,
    requests bigint NOT NULL,
    prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    gpu_seconds double precision NOT NULL,
    usd double precision NOT NULL,
    PRIMARY KEY (day, class, site, team, workload, model, endpoint)
);
"""
STEPS = (
    _KEYS,
    _USED,
    _ACCOUNTS,
    held_answers.STEP,
    held_answers.DELIVERED_STEP,
    asked.STEP,
    asked.REFERENCE_STEP,
    transit.STEP,
    caller_limits.STEP,
    stops.STEP,
    outbox.STEP,
    review_deadlines.STEP,
    desk.STEP,
    asked.HMACS_STEP,
    planted.STEP,
    appeals.STEP,
    webhooks.STEP,
    outbox.ANNOUNCE_STEP,
    board.STEP,
    review_people.STEP,
    usage.STEP,
    usage.HOURS_STEP,
    usage.AGE_STEP,
    canaries.STEP,
    canaries.EVALUATION_STEP,
    usage.CACHED_STEP,
    usage.EVALUATIONS_STEP,
    release_outcomes.STEP,
    release_moves.STEP,
    release_judge.STEP,
    release_approvals.STEP,
)

_GATEWAY = """
GRANT USAGE ON SCHEMA isthmus TO {role};
GRANT SELECT ON isthmus.migrations, isthmus.keys TO {role};
GRANT SELECT, INSERT, UPDATE ON isthmus.used, isthmus.accounts TO {role};
"""
GRANTS = {
    "gateway": _GATEWAY
    + held_answers.GATEWAY_GRANTS
    + asked.GATEWAY_GRANTS
    + transit.GATEWAY_GRANTS
    + caller_limits.GATEWAY_GRANTS
    + stops.GATEWAY_GRANTS
    + canaries.GATEWAY_GRANTS
    + release_outcomes.GATEWAY_GRANTS
    + release_moves.GATEWAY_GRANTS
    + release_judge.GATEWAY_GRANTS
    + release_approvals.GATEWAY_GRANTS
    + review_deadlines.GATEWAY_GRANTS
    + appeals.GATEWAY_GRANTS
    + webhooks.GATEWAY_GRANTS
    + board.GATEWAY_GRANTS,
    "reviews": held_answers.REVIEWS_GRANTS
    + stops.REVIEWS_GRANTS
    + review_deadlines.REVIEWS_GRANTS
    + desk.REVIEWS_GRANTS
    + planted.REVIEWS_GRANTS
    + board.REVIEWS_GRANTS
    + review_people.REVIEWS_GRANTS
    + outbox.REVIEWS_GRANTS,
    "operators": stops.OPERATORS_GRANTS
    + release_outcomes.OPERATORS_GRANTS
    + release_moves.OPERATORS_GRANTS
    + release_judge.OPERATORS_GRANTS
    + release_approvals.OPERATORS_GRANTS,
    "notifier": outbox.NOTIFIER_GRANTS,
    "usage": usage.USAGE_GRANTS,
    "usage_readers": usage.USAGE_READERS_GRANTS,
}
"""Grants of the database user of each mode.

A gateway may read keys, count usage, and store held answers, people's requests and their feedback, and transit data.
It may not issue or restore keys, approve answers, see planted answers, stop or restart a workload, nor move a release.
`mode: reviews` may decide, stop and restart, through functions that enforce the rules. Operators may stop and restart
workloads, move releases, and read their outcomes.
`mode: notifier` may read the outbox and mark what was delivered. It sees no held answer.
The loader of the usage ledger may load and close. Readers see sums by day, and no request.
"""


async def migrate(database: Database) -> list[int]:
    """Run the missing steps in one transaction and return their numbers. Raises DatabaseDown."""

    async def steps(connection: Any) -> list[int]:
        await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        await connection.execute(_START)
        reached = await connection.fetchval(_REACHED)
        for number, step in enumerate(STEPS[reached:], reached + 1):
            await connection.execute(step)
            await connection.execute("INSERT INTO isthmus.migrations (number) VALUES ($1)", number)
        return list(range(reached + 1, len(STEPS) + 1))

    return await database.transaction(steps)


async def grant(database: Database, role: str, mode: str = "gateway") -> None:
    """Grant a role the rights of a mode's database user."""
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,62}", role):
        raise ValueError("a role's name is lower-case letters, digits, - and _")
    statements = GRANTS[mode].format(role=f'"{role}"')
    await database.transaction(lambda connection: connection.execute(statements))


async def outdated(database: Database) -> str | None:
    """Why the program cannot use the database's tables, or None. Newer tables are accepted."""
    try:
        reached = await _reached(database)
    except DatabaseDown as error:
        if str(error) in ("UndefinedTableError", "InvalidSchemaNameError"):
            return _behind(0)
        return f"the database does not answer ({error})"
    return _behind(reached) if reached < len(STEPS) else None


def _behind(reached: int) -> str:
    return f"the database is at step {reached} of {len(STEPS)}: run `python -m edge.keys migrate`"


async def _reached(database: Database) -> int:
    return (await database.fetch(_REACHED))[0]["reached"]
