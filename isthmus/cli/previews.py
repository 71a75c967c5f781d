"""Previews as commands give them: in which form, where to, and what a command ends with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from isthmus.contracts.reports.preview import Preview
    from isthmus.contracts.vocabulary import Part
    from isthmus.engine.preview.preview import Previewed
    from isthmus.reports.preview.thresholds import Threshold


class Format(StrEnum):
    """How to answer."""

    text = "text"
    json = "json"
    markdown = "markdown"
    html = "html"
    sarif = "sarif"


FormatOf = Annotated[Format, typer.Option("--format", help="text, json, markdown, html or sarif.")]
FailOn = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on",
        metavar="WHAT",
        help="Exit with 1 on: critical, high, medium, replace, delete-stateful, cost>10%, undecided."
        " May be said several times; default: critical, high, undecided.",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", metavar="FILE", help="Write to this file.", dir_okay=False, show_default=False
    ),
]


@dataclass(frozen=True)
class Report:
    """What is asked for of some previews."""

    format: Format
    output: Path | None
    thresholds: Sequence[Threshold]
    root: Path
    """The project's folder."""

    def give(self, found: Sequence[Previewed], files: Mapping[str, str], name: str) -> None:
        """Write or print them, then raise what the exit code says. `files`: each stack's settings file, from the
        project's folder; `name`: of the file with the whole of a comment that is cut."""
        from isthmus.reports.preview import thresholds

        previews = [each.preview for each in found]
        _give(self, previews, files, name)
        _end(found, thresholds.reasons_to_fail(previews, self.thresholds))


def asked(format: Format, output: Path | None, fail_on: list[str] | None, root: Path) -> Report:
    """Raises for a threshold that there is not and a file that cannot be written, before minutes are spent on it."""
    from isthmus.reports.preview import thresholds

    wanted = thresholds.parse(fail_on if fail_on else thresholds.DEFAULT)
    if output is not None:
        writable(output)
    return Report(format, output, wanted, root)


def writable(file: Path) -> None:
    """Raise where a file cannot be written."""
    from isthmus.core.errors import EnvironmentFault

    folder = file.absolute().parent
    if not folder.is_dir():
        raise EnvironmentFault(
            "there is no such folder", where=str(folder), fix="Make it, or name another file"
        )
    if not os.access(folder, os.W_OK | os.X_OK) or (file.exists() and not os.access(file, os.W_OK)):
        raise EnvironmentFault(
            "it cannot be written", where=str(file), fix="Make it writable, or name another file"
        )


def _give(report: Report, previews: Sequence[Preview], files: Mapping[str, str], name: str) -> None:
    def parts() -> Iterable[RenderableType]:
        from isthmus.reports.preview import text as preview_text

        return preview_text.renderables(previews)

    plain = report.format is Format.text
    put(lambda: _text(report, previews, files, name), report.output, parts if plain else None)


def put(
    text: Callable[[], str],
    output: Path | None,
    parts: Callable[[], Iterable[RenderableType]] | None = None,
) -> None:
    """Write an answer to its file, or print it. `parts`: what a terminal is told in its place."""
    import sys

    from isthmus.cli import console
    from isthmus.core import yaml_files

    if parts is not None and output is None and sys.stdout.isatty():
        out = console.out()
        for part in parts():
            out.print(part)
    elif output is None:
        sys.stdout.write(text())
    else:
        yaml_files.write_text(output, text())
        console.err().print(f"written to {output}", markup=False)


def comment(
    short: Callable[[str], str], whole: Callable[[], str] | None, output: Path | None, root: Path, name: str
) -> str:
    """A comment of Markdown. `whole`: all of it, where it is cut; it goes to a file that the comment names."""
    from isthmus.core import yaml_files

    if whole is None:
        return short("")
    if output is not None:
        # Beside the file its name is enough; who reads stdout is in no folder.
        rest = output.with_name(f"{output.stem}.whole{output.suffix}")
        called = rest.name
    else:
        rest = root / "out" / f"{name}.whole.md"
        called = str(rest.relative_to(root))
    rest.parent.mkdir(parents=True, exist_ok=True)
    yaml_files.write_text(rest, whole())
    return short(called)


def _text(report: Report, previews: Sequence[Preview], files: Mapping[str, str], name: str) -> str:
    if report.format is Format.text:
        from isthmus.reports.preview import text as preview_text

        return preview_text.text(previews)
    if report.format is Format.markdown:
        from isthmus.reports.preview import markdown

        cut = markdown.needs_rest(previews)
        return comment(
            lambda called: markdown.comment(previews, called),
            (lambda: markdown.full_comment(previews)) if cut else None,
            report.output,
            report.root,
            f"preview-{name}",
        )
    if report.format is Format.html:
        from isthmus.reports.preview.page import page as preview_page

        return preview_page.page(list(previews))
    if report.format is Format.sarif:
        from isthmus.reports.preview import sarif as preview_sarif

        return preview_sarif.log(previews, files)
    return as_json(previews)


def as_json(previews: Sequence[Part]) -> str:
    """One answer as an object, several as a list; in ASCII, so that no terminal is told anything by a value."""
    import json

    made = [each.model_dump(mode="json", by_alias=True) for each in previews]
    return json.dumps(made[0] if len(made) == 1 else made, indent=2) + "\n"


def _end(found: Sequence[Previewed], why: Sequence[str]) -> None:
    """Raise what the exit code says: first what failed, then what was seen in part, then what is not to be."""
    from isthmus.core.errors import EnvironmentFault, Refused

    for each in found:
        if each.error is not None:
            raise each.error
    for each in found:
        lost = [one for one in each.preview.diagnostics if one.severity == "error"]
        if lost:
            raise EnvironmentFault(
                lost[0].message, where=f"stack {each.preview.stack}", fix="Run the same command again"
            )
    if why:
        raise Refused(f"the preview is not to be: {'; '.join(why)}", where="--fail-on")
