"""Traffic of workloads, measured from an export of usage: a CSV of a provider, or a gateway's logs as JSON lines.

A row is one request, or a bucket of time with a number of requests. Known are the columns of OpenAI's and Anthropic's
usage exports, LiteLLM's spend logs, Bedrock's invocation logs and the OpenTelemetry names; other columns can be named.
"""

from __future__ import annotations

import csv
import datetime
import itertools
import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from isthmus.core.errors import InputError
from isthmus.core.validation_errors import known_names

Role = Literal["time", "end", "requests", "prompt", "output", "cached", "uncached", "cache_write", "group"]
ROLES: tuple[Role, ...] = get_args(Role)
NAMES: Mapping[Role, Sequence[str]] = {
    "time": (
        *("start_time", "start_time_iso", "startTime", "timestamp", "time", "created_at", "@timestamp"),
        *("datetime", "date", "usage_date_utc", "usage_date", "start"),
    ),
    "end": ("end_time", "end_time_iso", "endTime", "end"),
    "requests": (
        "num_model_requests",
        "num_requests",
        "request_count",
        "requests",
        "n_requests",
        "total_requests",
    ),
    "prompt": (
        *("input_tokens", "prompt_tokens", "usage.prompt_tokens", "input.inputTokenCount", "inputTokens"),
        *("usage.input_tokens", "n_context_tokens_total", "gen_ai.usage.input_tokens"),
    ),
    "output": (
        *("output_tokens", "completion_tokens", "usage.completion_tokens", "output.outputTokenCount"),
        *("outputTokens", "usage.output_tokens", "usage_output_tokens", "n_generated_tokens_total"),
        "gen_ai.usage.output_tokens",
    ),
    "cached": (
        *("input_cached_tokens", "cached_tokens", "cache_read_input_tokens", "usage_input_tokens_cache_read"),
        *("usage.prompt_tokens_details.cached_tokens", "input.cacheReadInputTokenCount"),
    ),
    "uncached": ("usage_input_tokens_no_cache", "input_uncached_tokens", "uncached_input_tokens"),
    "cache_write": ("usage_input_tokens_cache_write", "cache_creation_input_tokens"),
    "group": ("model", "modelId", "model_id", "model_version", "model_group", "gen_ai.request.model"),
}
"""Names of columns by what they hold, the likeliest first (vendors' pages and exports, as of knowledge, 2026-11)."""

SECONDS_A_MONTH = 2_628_000
_DAY, _HOUR, _PEAK = 86_400, 3_600, 300
_LARGEST = 5_000_000
"""Rows that are read; more are refused, because a month of hours or a sample says as much."""
TOKENS_P95 = 2.8
"""Estimate of p95 / mean of tokens, where buckets hide single requests: that of a lognormal length whose standard
deviation is its mean, exp(1.645 s - s²/2) with s² = ln 2."""


@dataclass(frozen=True)
class Measured:
    """Traffic of one group of requests."""

    group: str
    traffic: dict[str, Any]
    """As `workloads[].traffic` takes it."""
    requests: int
    days: float
    estimated: list[str] = field(default_factory=list)
    """What was estimated rather than measured, in words."""


@dataclass
class _Rows:
    """The rows of one group: seconds since 1970, length of the bucket in seconds (0: one request), requests, tokens."""

    times: array[float] = field(default_factory=lambda: array("d"))
    widths: array[float] = field(default_factory=lambda: array("d"))
    requests: array[float] = field(default_factory=lambda: array("d"))
    prompt: array[float] = field(default_factory=lambda: array("d"))
    output: array[float] = field(default_factory=lambda: array("d"))
    cached: array[float] = field(default_factory=lambda: array("d"))


def measure(paths: Sequence[Path], columns: Mapping[str, str], by: str | None = None) -> list[Measured]:
    """Measure traffic by group, the busiest first.

    `columns`: role → name of a column, for exports with other names. `by`: the column that tells workloads apart;
    default: the model's. Raises `InputError` for a file without times, tokens or rows, with its line.
    """
    _check_roles(columns)
    groups: dict[str, _Rows] = {}
    read = 0
    for path in paths:
        named: dict[Role, str] | None = None
        for line, row in _rows(path):
            named = named or _columns(row, {**columns, **({"group": by} if by else {})}, path)
            read += 1
            if read > _LARGEST:
                raise InputError(
                    f"the files have more than {_LARGEST:,} rows",
                    where=str(path),
                    fix="Export hours instead of requests, or a month",
                )
            _take(groups, row, named, f"{path}:{line}")
    if not groups:
        raise InputError("there is no row with a request", where=str(paths[0]), fix="Export a longer time")
    measured = [_measured(name, rows) for name, rows in groups.items()]
    return sorted(measured, key=lambda one: (-one.requests, one.group))


def _check_roles(columns: Mapping[str, str]) -> None:
    for role in columns:
        if role not in ROLES:
            raise InputError(
                f"`{role}` is not what a column can hold", where="--column", fix=known_names(role, ROLES)
            )


# Reading


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and row of a CSV or JSON-lines file, by the first letter of its text."""
    try:
        stream = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", where=str(path)) from None
    with stream:
        try:
            first = stream.read(1)
            stream.seek(0)
            if first in ("{", "["):
                yield from _json_rows(path, stream, first)
                return
            for row in (reader := csv.DictReader(stream)):
                yield reader.line_num, {key: value for key, value in row.items() if key is not None}
        except UnicodeDecodeError:
            raise InputError("the file is not text in UTF-8", where=str(path)) from None
        except csv.Error as error:
            raise InputError(f"the file is no CSV: {error}", where=str(path)) from None


def _json_rows(path: Path, stream: Iterable[str], first: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if first == "[":
        try:
            items = json.loads("".join(stream))
        except ValueError:
            items = None
        numbered: Iterable[tuple[int, Any]] = ((1, item) for item in items or [])
    else:
        numbered = ((number, _json(line)) for number, line in enumerate(stream, 1) if line.strip())
    for number, item in numbered:
        if not isinstance(item, dict):
            raise InputError(
                "the line is no JSON object", where=f"{path}:{number}", fix="Write one JSON object a line"
            )
        yield number, _flat(item)


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _flat(item: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined with dots."""
    flat: dict[str, Any] = {}
    for key, value in item.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _columns(row: Mapping[str, Any], stated: Mapping[str, str], path: Path) -> dict[Role, str]:
    """Which column holds what. Raises `InputError` for a stated one that is missing, and without times or tokens."""
    named: dict[Role, str] = {}
    for role in ROLES:
        if role in stated:
            if stated[role] not in row:
                raise InputError(
                    f"there is no column `{stated[role]}`",
                    where=str(path),
                    fix=known_names(stated[role], list(row)),
                )
            named[role] = stated[role]
        elif name := next((name for name in NAMES[role] if name in row), None):
            named[role] = name
    has_prompt = "prompt" in named or "uncached" in named
    missing = [role for role in ("time", "output") if role not in named]
    missing += [] if has_prompt else ["prompt"]
    if missing:
        raise InputError(
            f"no column is known to hold {' and '.join(missing)}",
            where=str(path),
            fix=f"Name it, e.g. `--column {missing[0]}=COLUMN`. Columns: {', '.join(itertools.islice(row, 40))}",
        )
    return named


def _take(groups: dict[str, _Rows], row: Mapping[str, Any], named: Mapping[Role, str], where: str) -> None:
    def number(role: Role) -> float:
        value = row.get(named[role]) if role in named else None
        if value is None or value == "":
            return 0.0
        try:
            amount = float(value)
        except (TypeError, ValueError):
            amount = math.nan
        if not math.isfinite(amount) or amount < 0:
            raise InputError(f"`{value}` in column `{named[role]}` is no count", where=where)
        return amount

    requests = number("requests") if "requests" in named else 1.0
    if not requests:
        return
    moment, is_day = _moment(row.get(named["time"]), named["time"], where)
    width = 0.0
    if "requests" in named:
        end = row.get(named["end"]) if "end" in named else None
        width = _moment(end, named["end"], where)[0] - moment if end else (_DAY if is_day else 0.0)
    cached = number("cached")
    prompt = number("uncached") + cached + number("cache_write") if "uncached" in named else number("prompt")
    name = str(row.get(named["group"]) or "unknown") if "group" in named else "all requests"
    rows = groups.setdefault(name, _Rows())
    for values, value in (
        (rows.times, moment),
        (rows.widths, width),
        (rows.requests, requests),
        (rows.prompt, prompt),
        (rows.output, number("output")),
        (rows.cached, min(cached, prompt)),
    ):
        values.append(value)


def _moment(value: Any, column: str, where: str) -> tuple[float, bool]:
    """Seconds since 1970, and whether the value is a day without a time."""
    text = str(value).strip() if value is not None else ""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds) and seconds > 0:
        return (seconds / 1000 if seconds > 1e11 else seconds), False
    try:
        parsed = datetime.datetime.fromisoformat(text.replace(" UTC", "+00:00"))
    except ValueError:
        raise InputError(
            f"`{text}` in column `{column}` is no time",
            where=where,
            fix="Times are ISO 8601 (2026-11-01T09:30:00Z) or seconds since 1970",
        ) from None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=datetime.UTC)
    return parsed.timestamp(), len(text) == len("2026-11-01")


# Measuring


def _measured(group: str, rows: _Rows) -> Measured:
    times, requests = np.asarray(rows.times), np.asarray(rows.requests)
    widths = _widths(
        times, np.asarray(rows.widths), is_bucketed=bool((requests != 1).any() or any(rows.widths))
    )
    total = float(requests.sum())
    start, end = float(times.min()), float((times + widths).max())
    seconds = max(end - start, _HOUR)
    is_bucketed = bool(widths.max() > 0)
    # Of requests, the day of the first and the last count whole: nights belong to the mean.
    seconds = seconds if is_bucketed else max(math.ceil(seconds / _DAY) * _DAY, _DAY)
    estimated: list[str] = []
    mean = total / seconds
    peak = _peak_rps(times, widths, requests, estimated)
    traffic: dict[str, Any] = {
        "peak_rps": _rounded(max(peak, mean)),
        "mean_rps": _rounded(mean),
    }
    profile = _profile(times, widths, requests)
    if profile is not None:
        traffic["profile"] = profile
    traffic["prompt_tokens"] = _tokens(np.asarray(rows.prompt), requests, is_bucketed)
    traffic["output_tokens"] = _tokens(np.asarray(rows.output), requests, is_bucketed)
    if is_bucketed:
        estimated.append(
            f"p95 of tokens: {TOKENS_P95:g} times the mean, because the rows are no single requests"
        )
    prompt = float(np.sum(rows.prompt))
    if prompt and sum(rows.cached):
        traffic["prefix_hit_ratio"] = round(float(np.sum(rows.cached)) / prompt, 2)
    growth = _growth(times, requests)
    if growth is not None:
        traffic["growth_pct_month"] = growth
    return Measured(group, traffic, round(total), round(seconds / _DAY, 1), estimated)


def _widths(times: Any, widths: Any, *, is_bucketed: bool) -> Any:
    """Length of each bucket; where no end is stated, the shortest time between two."""
    if not is_bucketed or (widths > 0).all():
        return widths
    steps = np.diff(np.unique(times))
    step = float(steps.min()) if len(steps) else float(_DAY)
    return np.where(widths > 0, widths, step)


def _peak_rps(times: Any, widths: Any, requests: Any, estimated: list[str]) -> float:
    """Requests a second in the busiest five minutes."""
    if widths.max() <= _PEAK:
        slots = np.unique(np.floor(times / _PEAK), return_inverse=True)[1]
        return float(np.bincount(slots, weights=requests).max()) / _PEAK
    slots = np.unique(times, return_inverse=True)[1]
    busiest = float(np.bincount(slots, weights=requests).max()) / float(widths.max())
    if widths.max() <= _HOUR:
        estimated.append("peak_rps: twice the busiest bucket, whose busiest minutes are not in the export")
        return 2 * busiest
    estimated.append(
        "peak_rps: six times the busiest day, as if a third of it carried everything, and its busiest minutes twice "
        "that"
    )
    return 6 * busiest


def _profile(times: Any, widths: Any, requests: Any) -> list[float] | None:
    """24 weights, by hour of the day in UTC; None where rows are longer than an hour, or cover less than a day."""
    if widths.max() > _HOUR or float(times.max() - times.min()) < _DAY - _HOUR:
        return None
    hours = (np.floor(times / _HOUR) % 24).astype(int)
    sums = np.bincount(hours, weights=requests, minlength=24)
    return [round(float(value) / float(sums.max()), 2) for value in sums]


def _tokens(tokens: Any, requests: Any, is_bucketed: bool) -> dict[str, int]:
    mean = max(1.0, float(tokens.sum()) / float(requests.sum()))
    p95 = mean * TOKENS_P95 if is_bucketed else float(np.percentile(tokens, 95, method="higher"))
    return {"mean": round(mean), "p95": max(round(p95), round(mean))}


def _growth(times: Any, requests: Any) -> float | None:
    """Growth a month in per cent, from the first and last four weeks; None below eight weeks."""
    weeks = np.floor((times - times.min()) / (7 * _DAY)).astype(int)
    sums = np.bincount(weeks, weights=requests)[:-1]  # the last week may be cut
    if len(sums) < 8 or not sums[:4].sum() or not sums[-4:].sum():
        return None
    months = (len(sums) - 4) * 7 * _DAY / SECONDS_A_MONTH
    return round((float(sums[-4:].sum() / sums[:4].sum()) ** (1 / months) - 1) * 100, 1)


def _rounded(value: float) -> float:
    """Three digits, upwards, so that a rounded peak is never too small."""
    if value <= 0:
        return value
    unit = 10 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.6g}")
