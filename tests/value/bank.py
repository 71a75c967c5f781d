"""Twelve weeks of the bank's pilots: made-up usage and judged answers, for tests and for the example page."""

from __future__ import annotations

import datetime
import functools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isthmus.contracts.plan import document as plan_of
from isthmus.contracts.plan.document import Plan
from isthmus.contracts.reports.usage_file import UsageFile
from isthmus.contracts.reports.value import ValueReport, WorkloadValue
from isthmus.contracts.requirements import document as requirements_of
from isthmus.contracts.requirements.document import Requirements
from isthmus.value.acceptance import Sample
from isthmus.value.report import value_report

ROOT = Path(__file__).resolve().parents[2]
STACK = "bank-dev"
ASSISTANT, NARRATIVES = "policy-assistant", "transaction-narratives"
BEGIN, DAYS = datetime.date(2026, 9, 7), 85
_WEEKDAYS = (1.2, 1.25, 1.2, 1.15, 1.1, 0.6, 0.5)
_MODELS = {
    NARRATIVES: ("restricted", "Qwen/Qwen3-32B", "restricted-qwen3-32b", (2400, 450), 6.0, 0.0023),
    "kyc-extraction": (
        *("confidential", "meta-llama/Llama-3.1-8B-Instruct", "confidential-llama-3-1-8b"),
        *((1800, 200), 0.3, 0.0001),
    ),
    ASSISTANT: (
        *("internal", "anthropic.claude-haiku-4-5-20251001-v1:0", "internal-claude-haiku-4-5"),
        *((3500, 350), 0.0, 0.0058),
    ),
}


def requirements() -> Requirements:
    return requirements_of.load(ROOT / "stacks" / f"{STACK}.requirements.yaml")


def plan() -> Plan:
    return plan_of.load(ROOT / "stacks" / f"{STACK}.plan.yaml")


def row(day: datetime.date, workload: str, requests: int, person: str | None = None) -> dict[str, Any]:
    """A row of one workload and person. A fiftieth of the requests failed."""
    sensitivity, model, endpoint, (prompt, completion), gpu_seconds, usd = _MODELS[workload]
    failed = requests // 50
    answered = requests - failed
    return {
        **{"day": str(day), "sensitivity": sensitivity, "site": "fra1", "team": "desk", "workload": workload},
        **{"person": person, "model": model, "endpoint": endpoint},
        **{"requests": requests, "failed": failed, "unfinished": 0},
        **{"prompt_tokens": answered * prompt, "cached_tokens": 0},
        **{"completion_tokens": answered * completion, "gpu_seconds": gpu_seconds * requests},
        **{"cost_usd": f"{usd * answered:.6f}", "unpriced": 0},
    }


def rows(people: int = 460) -> Iterator[dict[str, Any]]:
    """Two pilots and one workload in full use; `people` use the assistant, two fifths of them on a day."""
    for number in range(DAYS):
        day = BEGIN + datetime.timedelta(number)
        load = _WEEKDAYS[day.weekday()] * (1 + 0.06 * math.sin(number * 1.3))
        yield row(day, NARRATIVES, int(75 * load))
        yield row(day, "kyc-extraction", int(150_000 * load))
        for person in range(people):
            if (number * 7 + person * 11) % 5 < 2:
                pseudonym = f"{day:%m}-{person:04}"  # of a month
                yield row(day, ASSISTANT, 1 + (int(8 * load) + person) % 9, pseudonym)


def content(people: int = 460) -> dict[str, Any]:
    return {"stack": STACK, "days": list(rows(people))}


@functools.cache
def usage(people: int = 460) -> UsageFile:
    return UsageFile.model_validate(content(people))


def sample(right: int, judged: int) -> Sample:
    return Sample(judged, right, "random sample", "2026-11-30")


def report(
    samples: dict[str, Sample] | None = None, requirements_: Requirements | None = None, people: int = 460
) -> ValueReport:
    """The report; default: the assistant has enough judgements, and the narratives have too few."""
    default = {ASSISTANT: sample(452, 512), NARRATIVES: sample(61, 74)}
    return value_report(
        STACK, plan(), requirements_ or requirements(), usage(people), default if samples is None else samples
    )


def of(report_: ValueReport, workload: str) -> WorkloadValue:
    (found,) = [one for one in report_.workloads if one.workload == workload]
    return found


def review_report(workload: str, right: int, judged: int, **more: Any) -> dict[str, Any]:
    """The part of `isthmus calibrate --from-reviews --format json` that is read."""
    share = {"value": right / judged, "low": 0.0, "high": 1.0, "judged": judged}
    return {
        **{"workload": workload, "model": "m", "begin": "2026-09-07T00:00:00+00:00"},
        **{"end": "2026-12-01T00:00:00+00:00", "judgements": {"judged": judged}},
        **{"acceptance": share if judged >= 100 else None, **more},
    }


def write(folder: Path) -> tuple[Path, Path, Path]:
    """Write the usage and the judged answers of both pilots as files."""
    files = folder / "usage.json", folder / "assistant.json", folder / "narratives.json"
    texts = content(), review_report(ASSISTANT, 452, 512), review_report(NARRATIVES, 61, 74)
    for file, data in zip(files, texts, strict=True):
        file.write_text(json.dumps(data))
    return files
