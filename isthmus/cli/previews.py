"""Output of previews: format, destination, and the error that sets the exit code."""

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
        " May be given several times; default: critical, high, undecided.",
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
    """How to write previews."""

    format: Format
    output: Path | None
    thresholds: Sequence[Threshold]
    root: Path
    """The project's folder."""

    def give(self, results: Sequence[Previewed], files: Mapping[str, str], name: str) -> None:
        """Write or print previews, then raise the error that sets the exit code.

        `files`: stack → its settings file, relative to the project; `name`: stem of the file for the rest of a comment
        that is cut.
        """
        from isthmus.reports.preview import thresholds

        previews = [result.preview for result in results]
        _write_report(self, previews, files, name)
        _raise_outcome(results, thresholds.reasons_to_fail(previews, self.thresholds))


def make_report(format: Format, output: Path | None, fail_on: list[str] | None, root: Path) -> Report:
    """Parse the options. Raises for an unknown threshold or an unwritable file before the long preview starts."""
    from isthmus.reports.preview import thresholds

    limits = thresholds.parse(fail_on if fail_on else thresholds.DEFAULT)
    if output is not None:
        check_writable(output)
    return Report(format, output, limits, root)


def check_writable(file: Path) -> None:
    """Raise `EnvironmentFault` if a file cannot be written."""
    from isthmus.core.errors import EnvironmentFault

    folder = file.absolute().parent
    if not folder.is_dir():
        raise EnvironmentFault(
            "the folder does not exist", where=str(folder), fix="Create it, or give another file"
        )
    if not os.access(folder, os.W_OK | os.X_OK) or (file.exists() and not os.access(file, os.W_OK)):
        raise EnvironmentFault(
            "the file cannot be written", where=str(file), fix="Make it writable, or give another file"
        )


def _write_report(report: Report, previews: Sequence[Preview], files: Mapping[str, str], name: str) -> None:
    def renderables() -> Iterable[RenderableType]:
        from isthmus.reports.preview import text as preview_text

        return preview_text.renderables(previews)

    plain = report.format is Format.text
    write_or_print(
        lambda: _report_text(report, previews, files, name), report.output, renderables if plain else None
    )


def write_or_print(
    text: Callable[[], str],
    output: Path | None,
    renderables: Callable[[], Iterable[RenderableType]] | None = None,
) -> None:
    """Write a report to its file, or print it. `renderables`: the form for a terminal."""
    import sys

    from isthmus.cli import console
    from isthmus.core import yaml_files

    if renderables is not None and output is None and sys.stdout.isatty():
        out = console.out()
        for renderable in renderables():
            out.print(renderable)
    elif output is None:
        sys.stdout.write(text())
    else:
        yaml_files.write_text(output, text())
        console.err().print(f"written to {output}", markup=False)


def markdown_comment(
    short: Callable[[str], str],
    full_text: Callable[[], str] | None,
    output: Path | None,
    root: Path,
    name: str,
) -> str:
    """A Markdown comment. `full_text`: if the comment is cut, the full text for a file that the comment names."""
    from isthmus.core import yaml_files

    if full_text is None:
        return short("")
    if output is not None:
        # Beside the output file, the file name is enough; on stdout, the path from the project is needed.
        rest_file = output.with_name(f"{output.stem}.whole{output.suffix}")
        file_name = rest_file.name
    else:
        rest_file = root / "out" / f"{name}.whole.md"
        file_name = str(rest_file.relative_to(root))
    rest_file.parent.mkdir(parents=True, exist_ok=True)
    yaml_files.write_text(rest_file, full_text())
    return short(file_name)


def _report_text(report: Report, previews: Sequence[Preview], files: Mapping[str, str], name: str) -> str:
    if report.format is Format.text:
        from isthmus.reports.preview import text as preview_text

        return preview_text.text(previews)
    if report.format is Format.markdown:
        from isthmus.reports.preview import markdown

        needs_cut = markdown.needs_rest(previews)
        return markdown_comment(
            lambda file_name: markdown.comment(previews, file_name),
            (lambda: markdown.full_comment(previews)) if needs_cut else None,
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
    """JSON: one object, or a list for several. ASCII only, so that values cannot contain terminal codes."""
    import json

    documents = [preview.model_dump(mode="json", by_alias=True) for preview in previews]
    return json.dumps(documents[0] if len(documents) == 1 else documents, indent=2) + "\n"


def _raise_outcome(results: Sequence[Previewed], met_thresholds: Sequence[str]) -> None:
    """Raise the error for the exit code: a failed preview, then a partial one, then a met threshold."""
    from isthmus.core.errors import EnvironmentFault, Refused

    for result in results:
        if result.error is not None:
            raise result.error
    for result in results:
        errors = [diagnostic for diagnostic in result.preview.diagnostics if diagnostic.severity == "error"]
        if errors:
            raise EnvironmentFault(
                errors[0].message, where=f"stack {result.preview.stack}", fix="Run the same command again"
            )
    if met_thresholds:
        raise Refused(f"the preview meets a threshold: {'; '.join(met_thresholds)}", where="--fail-on")
