"""Made-up usage of workloads by day, as `isthmus usage --format json` writes it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

END = datetime.date(2026, 11, 30)
"""The last day, which may not be over."""
BANK = {
    "transaction-narratives": "restricted",
    "kyc-extraction": "confidential",
    "policy-assistant": "internal",
    "campaign-copy": "public",
}


def usage_days(
    workload: str, days: int, requests: Callable[[int], float], **more: Any
) -> list[dict[str, Any]]:
    """Rows of `days` whole days and the day END, the oldest first; `requests`: of the day with this number, from 0.

    `more`: keys of `UsageDay`. Tokens are given for one answered request (`prompt`, `cached`, `completion`).
    """
    prompt, cached, completion = (
        more.pop(key, value) for key, value in (("prompt", 1000), ("cached", 0), ("completion", 100))
    )
    failed = more.pop("failed", lambda _: 0)
    rows = []
    for number in range(days + 1):
        count = round(requests(number))
        answered = count - failed(number)
        rows.append(
            {
                "day": str(END - datetime.timedelta(days - number)),
                "sensitivity": BANK.get(workload, "internal"),
                "site": "fra1",
                "team": "desk",
                "workload": workload,
                "person": None,
                "model": "model",
                "endpoint": "endpoint",
                "requests": count,
                "failed": failed(number),
                "unfinished": 0,
                "prompt_tokens": answered * prompt,
                "cached_tokens": answered * cached,
                "completion_tokens": answered * completion,
                "gpu_seconds": 0.0,
                "cost_usd": "0",
                "unpriced": 0,
                **more,
            }
        )
    return rows


def write_usage(path: Path, *rows: Sequence[Mapping[str, Any]], **more: Any) -> Path:
    """Write a file of usage."""
    path.write_text(json.dumps({"days": [row for part in rows for row in part], **more}))
    return path
