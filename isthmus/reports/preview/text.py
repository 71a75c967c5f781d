"""Previews as text for a terminal: the most dangerous first. Values are escaped, so they cannot control it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reports.preview import Change, Preview
from isthmus.reports.format.escaping import cut, visible
from isthmus.reports.preview import wording as words
from isthmus.reports.preview.markdown_details import difference_lines, is_noise_only

if TYPE_CHECKING:
    from rich.console import RenderableType

_STYLES = {
    "FAILED": "bold red",
    "REFUSED": "bold red",
    "PARTIAL": "bold yellow",
    "CHANGES": "bold yellow",
    "UNCHANGED": "bold green",
    "delete": "red",
    "replace": "red",
    "may replace": "yellow",
    "update": "yellow",
    "create": "green",
    "import": "green",
}


def text(previews: Sequence[Preview]) -> str:
    """Return plain text, for a file or a pipe."""
    return render_plain(renderables(previews))


def render_plain(renderables: Iterable[RenderableType]) -> str:
    """Return the printed text without folding lines, whatever the terminal's width."""
    import io

    from rich.console import Console

    buffer = io.StringIO()
    console = Console(
        file=buffer, width=80, highlight=False, emoji=False, color_system=None, legacy_windows=False
    )
    for renderable in renderables:
        console.print(renderable, soft_wrap=True)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def renderables(previews: Sequence[Preview]) -> Iterator[RenderableType]:
    """Yield the parts to print."""
    for preview in previews:
        yield from _verdict_lines(preview)
    yield from _rules_lines(previews)
    yield from _exceptions_lines(previews)
    yield from _candidate_lines(previews)
    yield from _dangerous_lines(previews)
    yield from paths_lines(previews)
    yield from findings_lines(previews)
    yield from _cost_lines(previews)
    for preview in previews:
        yield from _changes_lines(preview, several=len(previews) > 1)


def line(text: str, style: str = "") -> Any:
    """Return one line, with control characters escaped."""
    from rich.text import Text

    return Text(visible(text), style=style)


def title(text: str) -> Any:
    """Return the heading of a part."""
    from rich.text import Text

    return Text.assemble("\n", (visible(text), "bold"))


def _verdict_lines(preview: Preview) -> Iterator[RenderableType]:
    verdict = words.verdict(preview)
    single = [preview]
    clauses = [
        words.changes_line(single),
        words.data_paths_line(single),
        words.cost_line(single),
        words.findings_line(single),
        words.commit_line(single),
    ]
    yield line(f"{preview.stack}: {verdict}", _STYLES[verdict])
    if preview.status == "failed":
        yield line("  the changes could not be determined", _STYLES["FAILED"])
    if preview.status == "partial":
        yield line("  some of it could not be determined or decided", _STYLES["PARTIAL"])
    yield line("  " + ", ".join(clause for clause in clauses if clause))
    for diagnostic in preview.diagnostics:
        yield line(
            f"  {diagnostic.severity}: {diagnostic.message}",
            "red" if diagnostic.severity == "error" else "yellow",
        )


def _rules_lines(previews: Sequence[Preview]) -> Iterator[RenderableType]:
    rules = {rule.model_dump_json(): rule for preview in previews for rule in preview.rules}.values()
    if rules:
        yield title("Rules and classes that change")
    for rule in sorted(rules, key=lambda rule: (not rule.loosens, rule.kind, rule.what)):
        direction = "looser" if rule.loosens else "stricter or the same"
        yield line(f"  {direction}: {rule.kind} {rule.what}: {rule.old or 'none'} -> {rule.new or 'none'}")


def _exceptions_lines(previews: Sequence[Preview]) -> Iterator[RenderableType]:
    exceptions = dict.fromkeys(str(entry) for preview in previews for entry in preview.exceptions)
    if exceptions:
        yield title("Exceptions to the rules")
    for text in exceptions:
        yield line(f"  {text}")


def _candidate_lines(previews: Sequence[Preview]) -> Iterator[RenderableType]:
    candidates = words.unique_candidates(previews)
    if candidates:
        yield title("Candidates")
    for candidate in candidates:
        style = "red" if candidate.missing else ""
        verdict = words.candidate_verdict(candidate)
        yield line(
            f"  {verdict}: {candidate.workload} ({candidate.class_}), {candidate.share} to {candidate.model} at"
            f" {candidate.endpoint}",
            style,
        )
        if (scores := candidate.scores) is not None:
            score = words.span(scores.score) if scores.score else "none"
            yield line(f"    score {score}; loss {words.loss_text(scores)}")
            yield line(
                f"    {words.latency_text(scores)}; cost of a case: {words.case_cost(scores)}; signed by"
                f" {scores.signed_by or 'nobody trusted'}"
            )
        for missing in candidate.missing:
            yield line(f"    missing: {missing.what}. Fix: {missing.fix}", style)


def _dangerous_lines(previews: Sequence[Preview]) -> Iterator[RenderableType]:
    dangerous = [(preview, change) for preview in previews for change in words.dangerous_changes(preview)]
    if not dangerous:
        return
    yield title("Deleted or replaced")
    for preview, change in dangerous:
        stack = f"{preview.stack}: " if len(previews) > 1 else ""
        reason = (
            f", because of {words.replacement_reasons(change)}" if words.replacement_reasons(change) else ""
        )
        state = f"; holds state: {words.state_loss(change)}" if change.stateful else ""
        effect = words.effect_word(change)
        yield line(
            f"  {stack}{effect} {words.resource_type(change)} {change.name}{reason}{state}",
            _STYLES.get(effect, ""),
        )


def paths_lines(previews: Sequence[Preview]) -> Iterator[RenderableType]:
    """Yield the data paths that change."""
    unknown = [
        preview.stack
        for preview in previews
        if preview.data_paths.after is None and preview.status != "failed"
    ]
    moved = words.changed_paths(previews)
    if moved or unknown:
        yield title("Data paths that change")
    for changed_path in moved:
        verdict_before = changed_path.before.verdict if changed_path.before else "none"
        verdict_after = changed_path.after.verdict if changed_path.after else "none"
        state = f"{verdict_before} -> {verdict_after}" if verdict_before != verdict_after else verdict_after
        route = " -> ".join(
            f"{hop.kind} {hop.name}" + (f" at {hop.where}" if hop.where else "")
            for hop in changed_path.path.hops
        )
        reason = f" ({changed_path.path.why})" if changed_path.path.why else ""
        loud = changed_path.after is not None and changed_path.after.verdict != "allowed"
        yield line(
            f"  {changed_path.what}, {state}: {changed_path.path.class_}: {route}{reason}",
            "red" if loud else "",
        )
    for stack in unknown:
        yield line(f"  {stack}: its data paths could not be determined", "yellow")


def findings_lines(previews: Sequence[Preview]) -> Iterator[RenderableType]:
    """Yield the policy findings, the most severe first."""
    unique = words.unique_findings(previews)
    if unique:
        yield title("Policy findings")
    for finding in unique:
        state = "" if finding.verdict == "violated" else ", undecided"
        if finding.silenced is not None:
            state += f", silenced by {finding.silenced.owner} until {finding.silenced.until}"
        style = "red" if finding.severity in ("critical", "high") and finding.silenced is None else ""
        whose = finding.resource or "the stack"
        yield line(f"  {finding.severity}{state}: {finding.policy} {whose}: {finding.message}", style)
        supports = ", ".join(
            f"{control.framework} {control.version} {control.id}" for control in finding.supports
        )
        yield line(f"    fix: {finding.fix}" + (f"; supports {supports}" if supports else ""))


def _cost_lines(previews: Sequence[Preview]) -> Iterator[RenderableType]:
    rows = []
    for stacks, costs in words.costs_of(previews):
        if costs.before is not None or costs.after is not None:
            delta = words.cost_delta(costs)
            rows.append(
                f"  {stacks}: USD a month: {_usd(delta.before)} -> {_usd(delta.after)}, {words.cost_change(delta)}"
            )
    if rows:
        yield title("Cost and GPU capacity")
        for row in rows:
            yield line(row)
    capacities = {preview.capacity.model_dump_json(): preview.capacity for preview in previews}.values()
    for capacity in capacities:
        pools_before = {(pool.site, pool.pool): pool for pool in capacity.before or []}
        for pool in capacity.after or []:
            old = pools_before.get((pool.site, pool.pool))
            before = "unknown" if capacity.before is None else f"{old.used:g}" if old else "0"
            gpu_count = "unknown" if pool.gpus is None else f"{pool.gpus}"
            yield line(
                f"  {pool.pool}: {before} -> {pool.used:g} of {gpu_count} GPUs used, {pool.reserved} reserved"
            )


def _usd(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.2f}"


def _changes_lines(preview: Preview, *, several: bool) -> Iterator[RenderableType]:
    if not preview.changes:
        return
    yield title(f"All changes{f' of {preview.stack}' if several else ''}")
    for change in preview.changes:
        if not is_noise_only(change):
            yield from _change_lines(change)
    only_noise = [change for change in preview.changes if is_noise_only(change)]
    if only_noise:
        names = ", ".join(change.name for change in only_noise[:8]) + (
            f" and {len(only_noise) - 8:,} more" if len(only_noise) > 8 else ""
        )
        yield line(f"  {len(only_noise):,} in tags, checksums and the like only: {names}")


def _change_lines(change: Change) -> Iterator[RenderableType]:
    effect = words.effect_word(change)
    owner = f" of {change.component}" if change.component else ""
    yield line(f"  {effect} {words.resource_type(change)} {change.name}{owner}", _STYLES.get(effect, ""))
    if change.op in ("create", "import", "delete", "read"):
        # Properties of new resources are in --format json and markdown.
        return
    for property_change in change.properties:
        if not property_change.noise:
            for difference_line in difference_lines(property_change):
                yield difference(difference_line)


def difference(text: str) -> Any:
    """A line of a property's old or new value."""
    return line("      " + cut(text, 1000), {"-": "red", "+": "green"}.get(text[:1], ""))
