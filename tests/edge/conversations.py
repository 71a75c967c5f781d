"""A database with the tables of Open WebUI that we read, with the columns that we use."""

from __future__ import annotations

import itertools
from typing import Any

from tests.edge.postgres import Postgres

_TABLES = """
CREATE TABLE "user" (id text PRIMARY KEY, name text, email text);
CREATE TABLE chat (id text PRIMARY KEY, user_id text, updated_at bigint, title text);
CREATE TABLE chat_message (id text PRIMARY KEY, chat_id text NOT NULL REFERENCES chat ON DELETE CASCADE, content text);
"""
_NUMBERS = itertools.count()


def conversations(postgres: Postgres) -> dict[str, Any]:
    """Create the database, and return its settings."""
    name = f"chat_{next(_NUMBERS)}_{id(postgres)}"
    postgres.ask(f'CREATE DATABASE "{name}"')
    for statement in filter(str.strip, _TABLES.split(";")):
        postgres.ask(statement, name)
    return postgres.administrator(name)
