"""Many held answers at once, in the database of a desk."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from tests.edge.desk.desks import HMACS, Desk
from tests.edge.postgres import ADMIN, ADMIN_PASSWORD

COLUMNS = (
    *("id", "class", "site", "workload", "domain", "task", "subject", "not_by", "why", "score", "approvers"),
    *("content", "decide_by", "escalated_for", "delete_at"),
)


def rows(desk: Desk, count: int) -> list[tuple[Any, ...]]:
    """Held answers of four domains and twenty workloads, as the columns of the table."""
    subject, now = HMACS.subject("someone"), datetime.now(UTC)
    answers = []
    for number in range(count):
        held_id = uuid.uuid4().hex
        answer = {"model": "m", "choices": [{"index": 0, "message": {"content": f"Paid {number} EUR " * 20}}]}
        asked = {"messages": [{"role": "user", "content": f"Question {number} " * 20}]}
        line = desk.envelopes.first(held_id, subject, 7, asked, json.dumps(answer).encode())
        domain = ("payments", "insurance", "kyc", "legal")[number % 4]
        answers.append(
            (
                *(held_id, "restricted", "fra1", f"w{number % 20}", domain, "/v1/chat/completions", subject),
                *(
                    [subject],
                    ["impact"],
                    number % 100 / 100,
                    1,
                    line,
                    now + timedelta(hours=6, seconds=number),
                ),
                *(timedelta(days=1), now + timedelta(days=7)),
            )
        )
    return answers


async def insert(desk: Desk, answers: list[tuple[Any, ...]]) -> None:
    """Put them into the table."""
    port, database = desk.site.made.postgres.port, desk.site.made.database
    connection = await asyncpg.connect(
        host="127.0.0.1", port=port, database=database, user=ADMIN, password=ADMIN_PASSWORD
    )
    await connection.copy_records_to_table("held", schema_name="isthmus", records=answers, columns=COLUMNS)
    await connection.execute("ANALYZE isthmus.held")
    await connection.close()
