"""Accepted answers of the random sample: from reports of `isthmus calibrate --from-reviews`, or from proven records.

Answers that people see for another reason are a selection, and say nothing of all answers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isthmus.calibration.reviewed_answers import Period, ReviewRecords
from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from isthmus.contracts.reports.usage_file import UsageFile

WHERE = "--reviews"
_HOW = "Write it with `isthmus calibrate --from-reviews … --format json`"


@dataclass(frozen=True)
class Sample:
    """Judged answers of the random sample of one workload."""

    judged: int
    right: int | None
    """None: there are too few judgements, so the report does not say it."""
    source: str
    as_of: str
    """The day of the last answer."""


class _Acceptance(BaseModel):
    model_config = ConfigDict(extra="ignore")

    value: float = Field(ge=0, le=1)
    judged: int = Field(ge=1)


class _Judgements(BaseModel):
    model_config = ConfigDict(extra="ignore")

    judged: int = Field(ge=0)


class _Report(BaseModel):
    """The part of the report that is read."""

    model_config = ConfigDict(extra="ignore")

    workload: str
    model: str
    begin: datetime
    end: datetime
    judgements: _Judgements
    acceptance: _Acceptance | None


def read_reports(files: Sequence[Path], names: Iterable[str], usage: UsageFile) -> dict[str, Sample]:
    """Read reports, one of each workload and model. Models of one workload are added.

    `names`: workloads of the stack. Raises `InputError` for another shape, an unknown workload, and a report of a time
    without usage.
    """
    known = set(names)
    reports: dict[tuple[str, str], _Report] = {}
    for file in files:
        report = _read(file)
        if report.workload not in known:
            raise InputError(
                f"`{report.workload}` is not a workload of the stack",
                where=f"{WHERE} {file}",
                fix=f"Workloads: {', '.join(sorted(known))}",
            )
        days = [row.day for row in usage.days if row.workload == report.workload]
        if days and (report.end.date() < min(days) or report.begin.date() > max(days)):
            raise InputError(
                f"the decisions are on answers of {report.begin.date()} to {report.end.date()}, and the usage of "
                f"`{report.workload}` is of {min(days)} to {max(days)}",
                where=f"{WHERE} {file}",
                fix="Give decisions and usage of the same time",
            )
        if (report.workload, report.model) in reports:
            raise InputError(
                f"there are two reports on {report.model} of `{report.workload}`",
                where=f"{WHERE} {file}",
                fix="Give one of them",
            )
        reports[report.workload, report.model] = report
    return {
        name: _added([report for (workload, _), report in reports.items() if workload == name])
        for name in sorted({workload for workload, _ in reports})
    }


def _read(file: Path) -> _Report:
    where = f"{WHERE} {os.fspath(file)}"
    try:
        return _Report.model_validate(json.loads(file.read_bytes()))
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", where=where, fix=_HOW) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{key}: {first['msg']}", where=where, fix=_HOW) from None
    except (ValueError, RecursionError):
        raise InputError("the file is not JSON", where=where, fix=_HOW) from None


def _added(reports: Sequence[_Report]) -> Sample:
    """The sample of one workload. Models with too few judgements count only where no other has enough."""
    told = [report.acceptance for report in reports if report.acceptance is not None]
    begin, end = min(report.begin for report in reports), max(report.end for report in reports)
    source = f"random sample of people's reviews, answers of {begin.date()} to {end.date()}"
    if not told:
        return Sample(sum(report.judgements.judged for report in reports), None, source, str(end.date()))
    if len(told) < len(reports):
        source += " (without models that have too few judgements)"
    right = sum(round(acceptance.value * acceptance.judged) for acceptance in told)
    return Sample(sum(acceptance.judged for acceptance in told), right, source, str(end.date()))


class SampleRecords:
    """Collects the records of a proven store for several workloads, and counts their random samples."""

    def __init__(self, names: Iterable[str], begin: date, end: date) -> None:
        """`begin` and `end`: the first and the last day of the answers."""
        first = datetime.combine(begin, time(), UTC)
        after = datetime.combine(end + timedelta(1), time(), UTC)
        self._span = begin, end
        self._records = {name: ReviewRecords(Period(name, first, after)) for name in names}

    def add(self, record: Mapping[str, Any]) -> None:
        """Add a record. Records of other workloads are left out."""
        records = self._records.get(record.get("who", {}).get("workload") or "")
        if records is not None:
            records.add(record)

    def samples(self) -> dict[str, Sample]:
        """Return the sample of each workload with an answer."""
        begin, end = self._span
        source = f"random sample of people's reviews, answers of {begin} to {end}"
        counted = {}
        for name, records in self._records.items():
            reviewed = records.of_all_models()
            if reviewed.answers:
                verdicts = [verdict for _, verdict in reviewed.sample]
                right = sum(verdict.is_right for verdict in verdicts)
                counted[name] = Sample(len(verdicts), right, source, str(end))
        return counted
