"""Previews for a terminal: what can hurt first, every change below, nothing that a value could do to the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reports.preview import Change, Preview
from isthmus.reports.format.escaping import cut, visible
from isthmus.reports.preview import wording as words
from isthmus.reports.preview.markdown_details import lines_of, quiet

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
    """As plain text, for a file or a pipe."""
    return plain(parts(previews))


def plain(parts: Iterable[RenderableType]) -> str:
    """What would be printed, as text: no line is folded, whatever the terminal's width."""
    import io

    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=80, highlight=False, color_system=None, legacy_windows=False)
    for part in parts:
        console.print(part, soft_wrap=True)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def parts(previews: Sequence[Preview]) -> Iterator[RenderableType]:
    """What is printed, one after the other."""
    for preview in previews:
        yield from _head(preview)
    yield from _rules(previews)
    yield from _dangerous(previews)
    yield from paths(previews)
    yield from findings(previews)
    yield from _cost(previews)
    for preview in previews:
        yield from _changes(preview, several=len(previews) > 1)


def line(text: str, style: str = "") -> Any:
    """One line, with nothing in it that a value could do to a terminal."""
    from rich.text import Text

    return Text(visible(text), style=style)


def title(text: str) -> Any:
    """The heading of a part."""
    from rich.text import Text

    return Text.assemble("\n", (visible(text), "bold"))


def _head(preview: Preview) -> Iterator[RenderableType]:
    word = words.verdict(preview)
    one = [preview]
    told = [words.counts(one), words.ways(one), words.cost(one), words.findings(one), words.commit(one)]
    yield line(f"{preview.stack}: {word}", _STYLES[word])
    if preview.status == "failed":
        yield line("  what would change could not be found out", _STYLES["FAILED"])
    if preview.status == "partial":
        yield line("  not all of it could be found out or decided", _STYLES["PARTIAL"])
    yield line("  " + ", ".join(each for each in told if each))
    for each in preview.diagnostics:
        yield line(f"  {each.severity}: {each.message}", "red" if each.severity == "error" else "yellow")


def _rules(previews: Sequence[Preview]) -> Iterator[RenderableType]:
    rules = {each.model_dump_json(): each for one in previews for each in one.rules}.values()
    if rules:
        yield title("Rules and classes that change")
    for each in sorted(rules, key=lambda one: (not one.loosens, one.kind, one.what)):
        word = "looser" if each.loosens else "stricter or the same"
        yield line(f"  {word}: {each.kind} {each.what}: {each.old or 'none'} -> {each.new or 'none'}")


def _dangerous(previews: Sequence[Preview]) -> Iterator[RenderableType]:
    found = [(one, each) for one in previews for each in words.dangerous(one)]
    if not found:
        return
    yield title("Deleted or replaced")
    for preview, each in found:
        stack = f"{preview.stack}: " if len(previews) > 1 else ""
        why = f", because of {words.because(each)}" if words.because(each) else ""
        state = f"; holds state: {words.holds(each)}" if each.stateful else ""
        word = words.effect(each)
        yield line(f"  {stack}{word} {words.kind(each)} {each.name}{why}{state}", _STYLES.get(word, ""))


def paths(previews: Sequence[Preview]) -> Iterator[RenderableType]:
    """The ways of data that are not as they were."""
    lost = [each.stack for each in previews if each.data_paths.after is None and each.status != "failed"]
    moved = words.moved(previews)
    if moved or lost:
        yield title("Data paths that change")
    for each in moved:
        was = each.before.verdict if each.before else "none"
        now = each.after.verdict if each.after else "gone"
        state = f"{was} -> {now}" if was != now else now
        way = " -> ".join(
            f"{hop.kind} {hop.name}" + (f" at {hop.where}" if hop.where else "") for hop in each.path.hops
        )
        why = f" ({each.path.why})" if each.path.why else ""
        loud = each.after is not None and each.after.verdict != "allowed"
        yield line(f"  {each.what}, {state}: {each.path.class_}: {way}{why}", "red" if loud else "")
    for stack in lost:
        yield line(f"  {stack}: where its data may go was not found out", "yellow")


def findings(previews: Sequence[Preview]) -> Iterator[RenderableType]:
    """What the policies find, the worst first."""
    found = words.unique_findings(previews)
    if found:
        yield title("Policy findings")
    for each in found:
        state = "" if each.verdict == "violated" else ", cannot be decided"
        if each.silenced is not None:
            state += f", silenced by {each.silenced.owner} until {each.silenced.until}"
        style = "red" if each.severity in ("critical", "high") and each.silenced is None else ""
        whose = each.resource or "the stack"
        yield line(f"  {each.severity}{state}: {each.policy} {whose}: {each.message}", style)
        supports = ", ".join(f"{one.framework} {one.version} {one.id}" for one in each.supports)
        yield line(f"    fix: {each.fix}" + (f"; supports {supports}" if supports else ""))


def _cost(previews: Sequence[Preview]) -> Iterator[RenderableType]:
    rows = []
    for stacks, costs in words.costs_of(previews):
        if costs.before is not None or costs.after is not None:
            of = words.delta(costs)
            rows.append(f"  {stacks}: USD a month: {_usd(of.before)} -> {_usd(of.after)}, {words.change(of)}")
    if rows:
        yield title("Cost and GPU capacity")
        for row in rows:
            yield line(row)
    seen = {each.capacity.model_dump_json(): each.capacity for each in previews}.values()
    for one in seen:
        was = {(each.site, each.pool): each for each in one.before or []}
        for each in one.after or []:
            old = was.get((each.site, each.pool))
            before = "not known" if one.before is None else f"{old.used:g}" if old else "0"
            there = "not known" if each.gpus is None else f"{each.gpus}"
            yield line(
                f"  {each.pool}: {before} -> {each.used:g} of {there} GPUs used, {each.reserved} reserved"
            )


def _usd(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.2f}"


def _changes(preview: Preview, *, several: bool) -> Iterator[RenderableType]:
    if not preview.changes:
        return
    yield title(f"All changes{f' of {preview.stack}' if several else ''}")
    for each in preview.changes:
        if not quiet(each):
            yield from _change(each)
    soft = [each for each in preview.changes if quiet(each)]
    if soft:
        names = ", ".join(each.name for each in soft[:8]) + (
            f" and {len(soft) - 8:,} more" if len(soft) > 8 else ""
        )
        yield line(f"  {len(soft):,} in tags, checksums and the like only: {names}")


def _change(each: Change) -> Iterator[RenderableType]:
    word = words.effect(each)
    whose = f" of {each.component}" if each.component else ""
    yield line(f"  {word} {words.kind(each)} {each.name}{whose}", _STYLES.get(word, ""))
    if each.op in ("create", "import", "delete", "read"):
        # What is new is told by --format json or markdown; here its name is enough.
        return
    for one in each.properties:
        if not one.noise:
            for told in lines_of(one):
                yield difference(told)


def difference(told: str) -> Any:
    """A line of a property's old or new value."""
    return line("      " + cut(told, 1000), {"-": "red", "+": "green"}.get(told[:1], ""))
