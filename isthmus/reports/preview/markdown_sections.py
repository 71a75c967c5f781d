"""The visible part of a preview's comment: rules, deletions and replacements, data paths, findings, cost, capacity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from isthmus.contracts.reports.findings import Finding
from isthmus.contracts.reports.preview import Capacities, DataPath, PoolCapacity, Preview
from isthmus.reports.format.escaping import code, row
from isthmus.reports.preview import wording as words


@dataclass
class Section:
    """A heading, its rows, and the part of the comment that it may take (per cent)."""

    title: str
    share: int
    rows: list[str]
    head: list[str] = field(default_factory=list)
    """A table's first two lines."""

    def text(self, room: int, where: str) -> str:
        """Return the rows that fit and how many are left out; an empty string if there are no rows."""
        if not self.rows:
            return ""
        top = [f"### {self.title}", "", *self.head]
        tail = len(where) + 40
        shown: list[str] = []
        left = room - sum(len(line) + 1 for line in top)
        for text in self.rows:
            more = 0 if len(shown) + 1 == len(self.rows) else tail
            if len(text) + 1 > left - more:
                break
            shown.append(text)
            left -= len(text) + 1
        lost = len(self.rows) - len(shown)
        end = ["", f"and {lost:,} more: {where}"] if lost else []
        return "\n".join([*top, *shown, *end])


def sections(previews: Sequence[Preview]) -> list[Section]:
    """Return the sections, the most dangerous first."""
    return [
        _rules_section(previews),
        _exceptions_section(previews),
        *_candidate_sections(previews),
        _dangerous_section(previews),
        paths_section(previews),
        policy_section(previews),
        *_figure_sections(previews),
    ]


def table(title: str, share: int, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Section:
    """A section of rows under columns."""
    head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return Section(title, share, [row(row_cells) for row_cells in rows], head)


def _rules_section(previews: Sequence[Preview]) -> Section:
    rules = {rule.model_dump_json(): rule for preview in previews for rule in preview.rules}
    listed = sorted(rules.values(), key=lambda rule: (not rule.loosens, rule.kind, rule.what))
    rows = [
        [
            "**looser**" if rule.loosens else "stricter or the same",
            rule.kind,
            code(rule.what),
            code(rule.old) if rule.old else "none",
            code(rule.new) if rule.new else "none",
        ]
        for rule in listed
    ]
    return table("Rules and classes that change", 10, ["", "what", "of", "before", "after"], rows)


def _exceptions_section(previews: Sequence[Preview]) -> Section:
    exceptions = {str(entry): entry for preview in previews for entry in preview.exceptions}
    rows = [
        [
            code(entry.rule),
            f"silenced for {code(entry.resource)} until {entry.until}" if entry.until else "**off**",
            code(entry.owner),
            code(entry.reason),
            code(entry.source),
        ]
        for entry in exceptions.values()
    ]
    return table("Exceptions to the rules", 5, ["rule", "", "by", "reason", "in"], rows)


def _candidate_sections(previews: Sequence[Preview]) -> list[Section]:
    """The gate's verdict on each candidate, and below it what is missing."""
    rows, missing = [], []
    for candidate in words.unique_candidates(previews):
        verdict = words.candidate_verdict(candidate)
        scores = candidate.scores
        figures = ["-"] * 5
        if scores is not None:
            score = words.span(scores.score) if scores.score else "none"
            signed_by = code(scores.signed_by) if scores.signed_by else "**nobody trusted**"
            figures = [
                score,
                words.loss_text(scores),
                words.latency_text(scores),
                words.case_cost(scores),
                signed_by,
            ]
        rows.append(
            [
                f"**{verdict}**" if candidate.missing else verdict,
                f"{code(candidate.workload)} ({candidate.class_}), {candidate.share}",
                f"{code(candidate.model)} at {code(candidate.endpoint)}",
                *figures,
            ]
        )
        missing += [
            f"- {code(candidate.workload)}: {code(part.what, 500)} Fix: {code(part.fix, 300)}"
            for part in candidate.missing
        ]
    columns = ["", "workload, share", "candidate", "score", "loss", "latency", "cost of a case", "signed by"]
    return [
        table("Candidates", 8, columns, rows),
        Section("What candidates lack", 8, list(dict.fromkeys(missing))),
    ]


def _dangerous_section(previews: Sequence[Preview]) -> Section:
    several = len(previews) > 1
    rows = []
    for preview in previews:
        for change in words.dangerous_changes(preview):
            why = ", ".join(code(path) for path in (change.replaces_because or change.may_replace)[:5])
            also = len(change.replaces_because or change.may_replace) - 5
            why += f" and {also} more" if also > 0 else ""
            loses = "**yes**" + words.state_loss(change).removeprefix("yes") if change.stateful else "no"
            cells = [
                words.effect_word(change),
                f"{code(words.resource_type(change))} {code(change.name)}",
                why or "-",
                loses,
            ]
            rows.append([code(preview.stack), *cells] if several else cells)
    columns = ["", "resource", "because of", "holds state"]
    return table("Deleted or replaced", 20, ["stack", *columns] if several else columns, rows)


def paths_section(previews: Sequence[Preview]) -> Section:
    """Return the section of data paths that change."""
    rows = []
    for changed_path in words.changed_paths(previews):
        verdict_before = changed_path.before.verdict if changed_path.before else "none"
        verdict_after = changed_path.after.verdict if changed_path.after else "none"
        state = (
            verdict_after
            if changed_path.what in ("added", "existing")
            else f"{verdict_before} → {verdict_after}"
        )
        marked_state = (
            f"**{state}**"
            if changed_path.after is not None and changed_path.after.verdict != "allowed"
            else state
        )
        why = f": {code(changed_path.path.why, 300)}" if changed_path.path.why else ""
        rows.append(
            f"- {changed_path.what}, {marked_state} ({changed_path.path.class_}): "
            f"{describe_path(changed_path.path)}{why}"
        )
    unknown = [
        preview for preview in previews if preview.data_paths.after is None and preview.status != "failed"
    ]
    rows += [f"- {code(preview.stack)}: its data paths could not be determined" for preview in unknown]
    return Section("Data paths that change", 12, rows)


def describe_path(path: DataPath) -> str:
    """Return the path as a line: `kyc` → `confidential-gateway` at `fra1` → …"""
    return " → ".join(
        f"{hop.kind} {code(hop.name)}" + (f" at {code(hop.where)}" if hop.where else "") for hop in path.hops
    )


def policy_section(previews: Sequence[Preview]) -> Section:
    """Return the section of policy findings, the most severe first."""
    rows = [_finding_cells(finding) for finding in words.unique_findings(previews)]
    return table("Policy findings", 20, ["severity", "finding", "resource", "supports", "fix"], rows)


def _finding_cells(finding: Finding) -> list[str]:
    loud = f"**{finding.severity}**" if finding.severity in ("critical", "high") else finding.severity
    level = f"{loud}, undecided" if finding.verdict == "undecided" else loud
    if finding.silenced is not None:
        silenced = finding.silenced
        level = f"silenced until {silenced.until} by {code(silenced.owner)}: {code(silenced.reason)}"
        level += f" ({finding.severity})"
    supports = ", ".join(
        code(f"{control.framework} {control.version} {control.id}") for control in finding.supports
    )
    message = f"{code(finding.policy)} {code(finding.message, 400)}"
    return [
        level,
        message,
        code(finding.resource) if finding.resource else "the stack",
        supports or "-",
        code(finding.fix, 300),
    ]


def _figure_sections(previews: Sequence[Preview]) -> list[Section]:
    rows: list[list[str]] = []
    for stacks, costs in words.costs_of(previews):
        if costs.before is None and costs.after is None:
            continue
        delta = words.cost_delta(costs)
        stack_names = (
            f" of {', '.join(code(stack) for stack in stacks.split(', '))}" if len(previews) > 1 else ""
        )
        rows.append(
            [
                f"**USD a month{stack_names}**",
                _usd(delta.before),
                _usd(delta.after),
                words.cost_change(delta),
                "",
            ]
        )
        items_before = {item.what: item for item in (costs.before.items if costs.before else [])}
        items_after = {item.what: item for item in (costs.after.items if costs.after else [])}
        for item_name in sorted({*items_before, *items_after}):
            before, after = items_before.get(item_name), items_after.get(item_name)
            item_delta = words.Delta(
                before.monthly_usd if before else (0.0 if costs.before else None),
                after.monthly_usd if after else (0.0 if costs.after else None),
            )
            if item_delta.usd == 0:
                continue
            item = after or before
            evidence = f"{item.evidence or 'no evidence'} {item.as_of}".strip() if item else ""
            rows.append(
                [
                    code(item_name),
                    _usd(item_delta.before),
                    _usd(item_delta.after),
                    words.cost_change(item_delta),
                    code(evidence),
                ]
            )
    cost = table("Cost", 8, ["", "before", "after", "change", "evidence"], rows)
    gpus = [pool_row for capacities in _capacities(previews) for pool_row in _pool_rows(capacities)]
    columns = ["pool", "GPUs", "reserved", "used before", "used after"]
    return [cost, table("GPU capacity", 5, columns, gpus)]


def _usd(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.2f}"


def _capacities(previews: Sequence[Preview]) -> list[Capacities]:
    return list({preview.capacity.model_dump_json(): preview.capacity for preview in previews}.values())


def _pool_rows(capacities: Capacities) -> list[list[str]]:
    pools_before = {(pool.site, pool.pool): pool for pool in capacities.before or []}
    pools_after = {(pool.site, pool.pool): pool for pool in capacities.after or []}
    rows = []
    for key in sorted({*pools_before, *pools_after}):
        before_pool, after_pool = pools_before.get(key), pools_after.get(key)
        if before_pool == after_pool and after_pool is not None and not after_pool.used:
            continue
        gpu_counts = [
            _number(pool.gpus) if pool is not None else "none" if is_known else "unknown"
            for pool, is_known in (
                (before_pool, capacities.before is not None),
                (after_pool, capacities.after is not None),
            )
        ]
        gpus = gpu_counts[1] if gpu_counts[0] == gpu_counts[1] else f"{gpu_counts[0]} → {gpu_counts[1]}"
        before, after = _used(before_pool, capacities.before), _used(after_pool, capacities.after)
        rows.append([code(key[1]), gpus, str((after_pool or before_pool or _NONE).reserved), before, after])
    return rows


_NONE = PoolCapacity(site="none", pool="none", gpus=0)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:g}"


def _used(pool: PoolCapacity | None, known_pools: list[PoolCapacity] | None) -> str:
    if known_pools is None:
        return "unknown"
    return f"{pool.used:g}" if pool is not None else "0"
