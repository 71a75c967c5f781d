"""`isthmus preview STACK...`: what `isthmus up` would do, for a person, a pull request or a program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.options import ProjectDir, StackNames

if TYPE_CHECKING:
    from isthmus.contracts.preview import Preview
    from isthmus.engine.previewing import Previewed
    from isthmus.engine.project import Project, Stack

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


class Format(StrEnum):
    """How to answer."""

    text = "text"
    json = "json"
    markdown = "markdown"
    html = "html"
    sarif = "sarif"


@app.command()
def preview(
    stacks: StackNames,
    project: ProjectDir = None,
    format: Annotated[
        Format, typer.Option("--format", help="text, json, markdown, html or sarif.")
    ] = Format.text,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            metavar="WHAT",
            help="End with 1 where this is so: critical, high, medium, replace, delete-stateful, cost>10%, undecided."
            " May be said several times; default: critical, high, undecided.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write it here.", dir_okay=False, show_default=False
        ),
    ] = None,
) -> None:
    """Say what `isthmus up` would do to a stack, several, or an estate's: changes, findings, cost, data paths.

    Live state is read, so what others changed is found too; nothing is changed. A preview that fails or is seen in
    part says so, in every format, and never ends with 0. `--format json` gives one object for one stack, a list for
    several. A Markdown comment of more than 60,000 characters is cut, and names the file with the rest.
    """
    from isthmus.engine import project as projects
    from isthmus.report import thresholds

    asked = thresholds.parse(fail_on if fail_on else thresholds.DEFAULT)
    root = projects.find(project)
    chosen = root.chosen(stacks)
    if output is not None:
        writable(output)
    found = _previewed(chosen)
    previews = [each.preview for each in found]
    _give(previews, format, output, root, chosen)
    _end(found, thresholds.met(previews, asked))


def _previewed(chosen: Sequence[Stack]) -> list[Previewed]:
    from isthmus.cli.progress import Progress
    from isthmus.engine import previewing

    with Progress() as progress:
        return [previewing.preview(each, say=progress.say, watcher=progress) for each in chosen]


def writable(file: Path) -> None:
    """Raise before minutes are spent on what cannot be written."""
    from isthmus.contracts.errors import EnvironmentFault

    folder = file.absolute().parent
    if not folder.is_dir():
        raise EnvironmentFault(
            "there is no such folder", where=str(folder), todo="Make it, or name another file"
        )
    if not os.access(folder, os.W_OK | os.X_OK) or (file.exists() and not os.access(file, os.W_OK)):
        raise EnvironmentFault(
            "it cannot be written", where=str(file), todo="Make it writable, or name another file"
        )


def _give(
    previews: Sequence[Preview], format: Format, output: Path | None, root: Project, chosen: Sequence[Stack]
) -> None:
    import sys

    from isthmus.cli import console
    from isthmus.contracts import yamlfile

    if format is Format.text and output is None and sys.stdout.isatty():
        from isthmus.report import preview_text

        out = console.out()
        for part in preview_text.parts(previews):
            out.print(part)
        return
    text = _text(previews, format, output, root, chosen)
    if output is None:
        sys.stdout.write(text)
    else:
        yamlfile.write_text(output, text)
        console.err().print(f"written to {output}", markup=False)


def _rest_file(output: Path | None, root: Project, chosen: Sequence[Stack]) -> Path:
    """Where the whole of a comment goes that is cut."""
    if output is not None:
        return output.with_name(f"{output.stem}.whole{output.suffix}")
    return root.root / "out" / f"preview-{chosen[0].family}.whole.md"


def _text(
    previews: Sequence[Preview], format: Format, output: Path | None, root: Project, chosen: Sequence[Stack]
) -> str:
    rest = _rest_file(output, root, chosen)
    if format is Format.text:
        from isthmus.report import preview_text

        return preview_text.text(previews)
    if format is Format.markdown:
        # Beside the file its name is enough; who reads stdout is in no folder.
        return _markdown(
            previews, rest, rest.name if output is not None else str(rest.relative_to(root.root))
        )
    if format is Format.html:
        from isthmus.report import preview_page

        return preview_page.page(list(previews))
    if format is Format.sarif:
        from isthmus.report import preview_sarif

        files = {each.name: each.config_file.relative_to(root.root).as_posix() for each in chosen}
        return preview_sarif.log(previews, files)
    return as_json(previews)


def as_json(previews: Sequence[Preview]) -> str:
    """One preview as an object, several as a list; in ASCII, so that no terminal is told anything by a value."""
    import json

    made = [each.model_dump(mode="json", by_alias=True) for each in previews]
    return json.dumps(made[0] if len(made) == 1 else made, indent=2) + "\n"


def _markdown(previews: Sequence[Preview], rest: Path, named: str) -> str:
    from isthmus.contracts import yamlfile
    from isthmus.report import preview_markdown

    if not preview_markdown.needs_rest(previews):
        return preview_markdown.comment(previews)
    rest.parent.mkdir(parents=True, exist_ok=True)
    yamlfile.write_text(rest, preview_markdown.whole(previews))
    return preview_markdown.comment(previews, named)


def _end(found: Sequence[Previewed], why: Sequence[str]) -> None:
    """Raise what the exit code says: first what failed, then what was seen in part, then what is not to be."""
    from isthmus.contracts.errors import AnswerIsNo, EnvironmentFault

    for each in found:
        if each.error is not None:
            raise each.error
    for each in found:
        lost = [one for one in each.preview.diagnostics if one.severity == "error"]
        if lost:
            raise EnvironmentFault(
                lost[0].message, where=f"stack {each.preview.stack}", todo="Run the same command again"
            )
    if why:
        raise AnswerIsNo(f"the preview is not to be: {'; '.join(why)}", where="--fail-on")
