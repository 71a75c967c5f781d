"""Filters of the desk's lists in the query of an address."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

from edge.openai_api import Refusal, bad_request
from edge.reviews.queue import DECIDED, WAITING, Filter, parse_position

KEYS = ("state", "domain", "workload", "reason", "older", "due")
_MOST_HOURS = 24 * 365
_MOST_TEXT = 253


def parse_filter(parameters: Mapping[str, str]) -> Filter:
    """The filter of an address. `list` is `waiting` (absent), `delivered` or `decided`. Raises Refusal 400."""
    which = parameters.get("list", "waiting")
    if which not in ("waiting", "delivered", "decided"):
        raise bad_request("invalid_list", "The parameter 'list' is waiting, delivered or decided.")
    decided = which == "decided"
    state = _text(parameters, "state")
    if state is not None and state not in (DECIDED if decided else WAITING):
        raise bad_request("invalid_state", "The parameter 'state' is none of this list.")
    return Filter(
        decided=decided,
        delivered=which == "delivered",
        state=state,
        domain=_text(parameters, "domain"),
        workload=_text(parameters, "workload"),
        reason=_text(parameters, "reason"),
        older_h=_hours(parameters, "older"),
        due_h=_hours(parameters, "due"),
    )


def query_of(wanted: Filter, **more: str) -> str:
    """The query of an address with a filter, with `?`, or nothing if there is none."""
    which = list_of(wanted)
    values = {
        "list": None if which == "waiting" else which,
        "state": wanted.state,
        "domain": wanted.domain,
        "workload": wanted.workload,
        "reason": wanted.reason,
        "older": _number(wanted.older_h),
        "due": _number(wanted.due_h),
        **more,
    }
    query = urlencode({key: value for key, value in values.items() if value is not None})
    return f"?{query}" if query else ""


def list_of(wanted: Filter) -> str:
    """The list that a filter is of."""
    return "decided" if wanted.decided else "delivered" if wanted.delivered else "waiting"


def parse_after(value: str) -> tuple[datetime, str] | None:
    """The last answer of the page before. Raises Refusal 400."""
    try:
        return parse_position(value)
    except ValueError:
        raise bad_request("invalid_after", "The parameter 'after' must be a page's own.") from None


def _text(parameters: Mapping[str, str], key: str) -> str | None:
    value = parameters.get(key, "").strip()
    if len(value) > _MOST_TEXT or "\0" in value:
        raise _invalid(key)
    return value or None


def _hours(parameters: Mapping[str, str], key: str) -> float | None:
    value = parameters.get(key, "").strip()
    if not value:
        return None
    try:
        hours = float(value[:20])
    except ValueError:
        raise _invalid(key) from None
    if not (math.isfinite(hours) and 0 <= hours <= _MOST_HOURS):
        raise _invalid(key)
    return hours


def _number(hours: float | None) -> str | None:
    return None if hours is None else f"{hours:g}"


def _invalid(key: str) -> Refusal:
    return bad_request("invalid_filter", f"The parameter {key!r} is not valid.")
