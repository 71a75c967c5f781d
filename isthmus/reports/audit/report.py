"""The audit report: requests by class, gateway and target, violations of the boundaries, and gaps in the record.

It takes records and flows that are already read and verified; chains and stores are in `edge.audit`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from isthmus.contracts.reference.handling import Exception_, Handling, may_use_aws, refusal
from isthmus.contracts.vocabulary import SENSITIVITIES, TARGETS
from isthmus.reports.audit.flow_logs import Flow, Missing, Net, is_inside
from isthmus.reports.audit.reviews import Reviews
from isthmus.reports.format.escaping import code, row, visible

NOWHERE = "nowhere"
"""Target of a request that was refused before it was forwarded."""


@dataclass
class Count:
    """Requests of one class at one gateway that ran in one place."""

    requests: int = 0
    ended_well: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0


@dataclass
class AuditReport:
    """The report on the records between two times."""

    begin: datetime
    end: datetime
    exceptions: Sequence[Exception_] = ()
    handling: Mapping[str, Handling] = field(default_factory=dict)
    """The organisation's handling by class. A class without an entry has the default handling."""
    counts: dict[tuple[str, str, str, str], Count] = field(default_factory=dict)
    """By class, site, gateway and target."""
    violations: list[str] = field(default_factory=list)
    """Requests and connections to a place that their class forbids, or may forbid."""
    contradictions: list[str] = field(default_factory=list)
    """Findings of the verification of a store: records that were changed or are missing."""
    gaps: list[str] = field(default_factory=list)
    """Periods and requests that the record does not cover."""
    egress: dict[tuple[str, str, int], list[int]] = field(default_factory=dict)
    """By class, destination and port: allowed flows, refused flows, bytes."""

    reviews: Reviews = field(default_factory=Reviews)
    """Held answers and their decisions."""

    @property
    def unapproved(self) -> list[str]:
        """Held answers that were released with too few approvals."""
        return self.reviews.unapproved(self.handling)

    @property
    def clean(self) -> bool:
        """Whether there are no violations, no changed records and no unapproved answers."""
        return not self.violations and not self.contradictions and not self.unapproved

    def covers(self, time: str) -> bool:
        """Whether a time (ISO 8601) is in the report's period."""
        return self.begin <= datetime.fromisoformat(time) < self.end

    def add(self, record: Mapping[str, Any]) -> None:
        """Add a record, sealed or not."""
        if record["kind"] == "intent" and self.covers(record["time"]):
            self._judge(record)
        elif record["kind"] == "outcome" and self.covers(record["time"]):
            self._count(record)
        elif record["kind"] == "refused" and self.covers(record["time"]):
            key = (record["class"], record["site"], record["gateway"], NOWHERE)
            self.counts.setdefault(key, Count()).requests += sum(record["codes"].values())
        if record["kind"] in ("outcome", "review"):
            self.reviews.add(record, counted=self.covers(record["time"]))

    def _judge(self, record: Mapping[str, Any]) -> None:
        sensitivity, destination = record["class"], record["to"]
        request = f"request {record['id']} of {record['who'].get('workload')} at {record['gateway']} ({record['site']})"
        target = destination.get("target")
        if target not in TARGETS or sensitivity not in SENSITIVITIES:
            self.violations.append(
                f"{request}, class {sensitivity}, went to {destination.get('server')}: the record does not name a "
                "known target, so nothing proves that this was allowed"
            )
            return
        day, workload = record["time"][:10], str(record["who"].get("workload"))
        reason = refusal(
            sensitivity, target, [workload], self.exceptions, day, self.handling.get(sensitivity)
        )
        if reason is not None:
            self.violations.append(f"{request} went to {destination.get('server')}: {reason}")

    def _count(self, record: Mapping[str, Any]) -> None:
        ran = record["ran"]
        where = (ran.get("target") or "unknown") if ran else NOWHERE
        key = (record["class"], record["site"], record["gateway"], where)
        count = self.counts.setdefault(key, Count())
        count.requests += 1
        count.ended_well += bool(record["ended_well"])
        count.prompt_tokens += record["tokens"].get("prompt") or 0
        count.completion_tokens += record["tokens"].get("completion") or 0
        count.usd += record["usd"] or 0.0

    def add_flows(self, flows: Iterable[Flow | Missing], inside_networks: Sequence[Net]) -> None:
        """Add flows of the network. A class that may not use AWS may reach only addresses of `inside_networks`."""
        for flow in flows:
            if isinstance(flow, Missing):
                self.gaps.append(f"{flow.file}: {flow.what}")
                continue
            if not self.begin <= flow.time < self.end:
                continue
            counters = self.egress.setdefault((flow.class_, flow.destination, flow.port), [0, 0, 0])
            counters[0 if flow.let_through else 1] += 1
            counters[2] += flow.bytes if flow.let_through else 0
            must_stay_inside = not may_use_aws(flow.class_)  # pyright: ignore[reportArgumentType]  # an unknown one raises
            if (
                flow.let_through
                and must_stay_inside
                and not is_inside(flow.destination, inside_networks)
                and counters[0] == 1
            ):
                self.violations.append(
                    f"the network allowed {flow.source}, class {flow.class_}, to reach {flow.destination} port "
                    f"{flow.port} at {flow.time:%Y-%m-%d %H:%M:%S}, which is outside the networks of --inside"
                )

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON data. Its keys are a contract."""
        return {
            "from": self.begin.isoformat(),
            "to": self.end.isoformat(),
            "clean": self.clean,
            "violations": self.violations,
            "contradictions": self.contradictions,
            "unapproved": self.unapproved,
            "gaps": self.gaps,
            "requests": [
                {
                    "class": class_,
                    "site": site,
                    "gateway": gateway,
                    "ran": where,
                    "requests": count.requests,
                    "ended_well": count.ended_well,
                    "prompt_tokens": count.prompt_tokens,
                    "completion_tokens": count.completion_tokens,
                    "usd": round(count.usd, 6),
                }
                for (class_, site, gateway, where), count in sorted(self.counts.items(), key=_by_class)
            ],
            "reviews": self.reviews.rows(),
            "egress": [
                {
                    "class": class_,
                    "destination": destination,
                    "port": port,
                    "let_through": counters[0],
                    "refused": counters[1],
                    "bytes": counters[2],
                }
                for (class_, destination, port), counters in sorted(self.egress.items())
            ],
        }


def _by_class(keyed_count: tuple[tuple[str, str, str, str], Count]) -> tuple[int, tuple[str, str, str, str]]:
    class_ = keyed_count[0][0]
    return SENSITIVITIES.index(class_) if class_ in SENSITIVITIES else 99, keyed_count[0]


def as_markdown(report: AuditReport) -> str:
    """Return the report as Markdown."""
    data = report.as_json()
    lines = [f"# Audit, {data['from']} to {data['to']}", "", *_verdict(report, code), ""]
    lines += ["## Requests", "", *_table(data["requests"], code), ""]
    if data["reviews"]:
        lines += ["## Held answers", "", *_table(data["reviews"], code), ""]
    if data["egress"]:
        lines += ["## Egress in the flow logs", "", *_table(data["egress"], code), ""]
    lines += [
        "## What the record cannot show",
        "",
        *([f"- {code(gap, 400)}" for gap in report.gaps] or ["Nothing."]),
    ]
    return "\n".join(lines) + "\n"


def as_text(report: AuditReport) -> str:
    """Return the report as text for a terminal."""
    data = report.as_json()
    lines = [f"Audit, {data['from']} to {data['to']}", "", *_verdict(report, visible), ""]
    tables = (
        ("Requests", "requests"),
        ("Held answers", "reviews"),
        ("Egress in the flow logs", "egress"),
    )
    for name, rows in ((name, data[key]) for name, key in tables):
        if rows:
            lines += [name, *_columns(rows), ""]
    lines += ["What the record cannot show", *([f"  {visible(gap)}" for gap in report.gaps] or ["  nothing"])]
    return "\n".join(lines) + "\n"


def _verdict(report: AuditReport, escape: Any) -> list[str]:
    lines = ["No gateway sent data to a place that its class forbids."] if report.clean else []
    if report.violations:
        lines += [f"Data went, or may have gone, where its class forbids it ({len(report.violations)}):"]
        lines += [f"- {escape(finding)}" for finding in report.violations]
    if unapproved := report.unapproved:
        lines += [f"Held answers were released with too few approvals ({len(unapproved)}):"]
        lines += [f"- {escape(finding)}" for finding in unapproved]
    if report.contradictions:
        lines += ["Records were changed or are missing, so this report proves nothing:"]
        lines += [f"- {escape(finding)}" for finding in report.contradictions]
    return lines


def _table(rows: list[dict[str, Any]], escape: Any) -> list[str]:
    if not rows:
        return ["None."]
    names = list(rows[0])
    head = [row(names), row(["---"] * len(names))]
    return head + [
        row(
            [
                escape(str(row_data[name])) if isinstance(row_data[name], str) else f"{row_data[name]:,}"
                for name in names
            ]
        )
        for row_data in rows
    ]


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    names = list(rows[0])
    cells = [names] + [
        [
            visible(row_data[name]) if isinstance(row_data[name], str) else f"{row_data[name]:,}"
            for name in names
        ]
        for row_data in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
