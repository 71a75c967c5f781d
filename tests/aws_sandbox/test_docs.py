"""docs/sandbox-aws.md says what the code does: its tables are the code's.

Run as a program, it writes them.
"""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from sandbox.aws.beside import OPERATIONS, PAGES
from sandbox.aws.faults import KINDS, Fault, parse_faults
from sandbox.aws.invokes import INVOKES
from sandbox.aws.model import Type
from sandbox.aws.table import TYPES
from tests.aws_sandbox.lost import TWICE, UNTOLD

PAGE = Path(__file__).parents[2] / "docs" / "sandbox-aws.md"


def _row(kind: Type) -> str:
    def names(selector: list[str]) -> str:
        return ", ".join(f"`{name}`" for name in sorted(selector)) or "–"

    inputs = kind.inputs.items()
    changed = [name for name, prop in inputs if not prop.replace and not prop.local]
    replaces = [name for name, prop in inputs if prop.replace]
    local = [name for name, prop in inputs if prop.local and not prop.replace]
    outputs = list(kind.outputs)
    return (
        f"| `{kind.token}` | {names(changed)} | {names(replaces)} | {names(local)} | {names(outputs)} "
        f"| {kind.limits} |"
    )


def tables() -> dict[str, str]:
    heads = ("type", "changed in place", "replaces", "not sent", "outputs", "what the sandbox cannot know")
    types = f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|\n"
    beside = "| service | operation |\n|---|---|\n"
    return {
        "beside": beside + "\n".join(f"| {entry.service} | {entry.name} |" for entry in OPERATIONS),
        "pages": "| what | address |\n|---|---|\n"
        + "\n".join(f"| {page.what} | `{page.method} {page.path}` |" for page in PAGES),
        "types": types + "\n".join(_row(kind) for _, kind in sorted(TYPES.items())),
        "twice": "\n".join(f"- `{token}`" for token in sorted(TWICE)),
        "untold": "\n".join(f"- `{token}`" for token in sorted(UNTOLD)),
        "functions": "\n".join(f"- `{token}`" for token in INVOKES),
    }


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}: [^\n]*-->\n)(.*?)(<!-- end -->)", re.DOTALL)


@pytest.mark.parametrize("name", ["beside", "pages", "types", "twice", "untold", "functions"])
def test_the_page_s_table_is_the_code_s(name: str) -> None:
    actual = _pattern(name).search(PAGE.read_text(encoding="utf-8"))
    assert actual is not None
    assert actual[2].strip() == tables()[name], "run `python -m tests.aws_sandbox.test_docs`"


def test_every_type_says_what_the_sandbox_cannot_know() -> None:
    assert [token for token, kind in TYPES.items() if not kind.limits] == []


def test_the_page_says_that_the_real_plugin_was_not_tried() -> None:
    assert "The real plugin was not tried" in PAGE.read_text(encoding="utf-8")


def test_the_page_names_every_member_and_every_kind_of_a_fault() -> None:
    section = PAGE.read_text(encoding="utf-8").split("\n## Faults\n")[1].split("\n## ")[0]
    members = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert members == [member.name for member in fields(Fault)]
    row = next(line for line in section.splitlines() if line.startswith("| `kind` |"))
    assert re.findall(r"`([a-z-]+)`:", row) == list(KINDS)
    example = re.search(r"-d '(.*)'", section)
    assert example is not None
    assert parse_faults(example[1].encode())[0].times == 2


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    for name, table in tables().items():
        page = _pattern(name).sub(lambda value, table=table: f"{value[1]}{table}\n{value[3]}", page)
    PAGE.write_text(page, encoding="utf-8")
