"""Move modules to the packages that `scripts/module_moves.txt` names, and rewrite every import of them.

    python -m scripts.move_modules              # move what has not been moved, then rewrite imports and paths
    python -m scripts.move_modules --check      # exit 1 if an old name is still imported

It can be run again, for example after a merge of a branch that uses old names. Run `ruff check --fix` and `ruff format`
afterwards: a rewritten import statement may be split into several.

A line of the map is `OLD NEW [NAME]`: dotted module names, and the name under which code uses the module, if the new
module's own name is not clear alone (`kubernetes_client` of `kubernetes.client`). If a file already uses that name for
something else, the import keeps the old name with `as`.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAP = Path(__file__).with_name("module_moves.txt")
TEXTS = (".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".json", "Makefile", ".j2", ".in")
FROZEN = ("tests/upgrades/snapshots/", "scripts/module_moves.txt", "scripts/move_modules.py", ".git/")
LOCAL_NAMES: dict[str, str] = {}
"""New module → the name that the map states."""


def read_map() -> dict[str, str]:
    """Old dotted name → new dotted name."""
    moves = {}
    for line in MAP.read_text().splitlines():
        if line and not line.startswith("#"):
            old, new, *name = line.split()
            moves[old] = new
            if name:
                LOCAL_NAMES[new] = name[0]
    return moves


def path_of(module: str) -> Path:
    return ROOT / (module.replace(".", "/") + ".py")


def local_name(module: str) -> str:
    """The name under which code uses a module."""
    return LOCAL_NAMES.get(module, module.rpartition(".")[2])


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [
        name for name in listed.stdout.splitlines() if (ROOT / name).is_file() and not name.startswith(FROZEN)
    ]


def move(moves: dict[str, str]) -> None:
    """Run `git mv` for each module that is still at its old path."""
    for old, new in moves.items():
        if not path_of(old).exists() or path_of(new).exists():
            continue
        folder = path_of(new).parent
        folder.mkdir(parents=True, exist_ok=True)
        while folder != ROOT and not (folder / "__init__.py").exists():
            (folder / "__init__.py").write_text("")
            folder = folder.parent
        subprocess.run(["git", "mv", str(path_of(old)), str(path_of(new))], cwd=ROOT, check=True)


@dataclass
class Edit:
    """A replacement of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


class Rewriter:
    """Rewrites the imports of one file."""

    def __init__(self, text: str, moves: dict[str, str]) -> None:
        self.text, self.moves = text, moves
        self.new_packages = {new.rpartition(".")[0] for new in moves.values()}
        self.tree = ast.parse(text)
        self.lines = [0]
        for line in text.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        self.edits: list[Edit] = []
        self.renames: dict[str, str] = {}
        self.other_uses = self._names_bound_otherwise()

    def _offset(self, line: int, column: int) -> int:
        begin = self.lines[line - 1]
        text = self.text[begin : self.lines[line]] if line < len(self.lines) else self.text[begin:]
        return begin + len(text.encode()[:column].decode())

    def _names_bound_otherwise(self) -> set[str]:
        names: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.arg | ast.keyword):
                names.add(node.arg or "")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.alias):
                names.add(node.asname or node.name.partition(".")[0])
        return names

    def _can_be_renamed(self, old: str) -> bool:
        """Whether every use of a name in the file is a read of the module."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and node.id == old and not isinstance(node.ctx, ast.Load):
                return False
            if isinstance(node, ast.arg | ast.keyword) and node.arg == old:
                return False
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == old:
                return False
            if isinstance(node, ast.Global | ast.Nonlocal) and old in node.names:
                return False
        return True

    def _bind(self, old: str, module: str) -> str:
        """The new name of a module in this file."""
        if old in self.renames:
            return self.renames[old]
        new_name = local_name(module)
        free = new_name == old or (new_name not in self.other_uses and self._can_be_renamed(old))
        self.renames[old] = new_name if free else old
        return self.renames[old]

    def rewrite(self) -> str:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                self._from(node)
            elif isinstance(node, ast.Import):
                self._import(node)
        self._rename()
        for edit in sorted(self.edits, key=lambda edit: edit.start, reverse=True):
            self.text = self.text[: edit.start] + edit.text + self.text[edit.end :]
        return self.text

    def _replace(self, node: ast.stmt, statements: list[str]) -> None:
        indent = " " * node.col_offset
        end = self._offset(node.end_lineno or node.lineno, node.end_col_offset or 0)
        self.edits.append(
            Edit(self._offset(node.lineno, node.col_offset), end, f"\n{indent}".join(statements))
        )

    def _from(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        full = {alias: f"{module}.{alias.name}" for alias in node.names}
        if module in self.new_packages and all(name in self.moves.values() for name in full.values()):
            return  # rewritten before
        moved = [alias for alias in node.names if full[alias] in self.moves]
        if not moved and module not in self.moves:
            return
        statements = []
        unmoved = [alias for alias in node.names if alias not in moved]
        if unmoved:
            statements.append(self._statement(self.moves.get(module, module), unmoved))
        for alias in moved:
            new = self.moves[full[alias]]
            package, _, base = new.rpartition(".")
            name = alias.asname or self._bind(alias.name, new)
            statements.append(f"from {package} import {base}" + (f" as {name}" if name != base else ""))
        self._replace(node, statements)

    @staticmethod
    def _statement(module: str, names: list[ast.alias]) -> str:
        listed = ", ".join(alias.name + (f" as {alias.asname}" if alias.asname else "") for alias in names)
        line = f"from {module} import {listed}"
        return line if len(line) < 100 else f"from {module} import ({listed})"

    def _import(self, node: ast.Import) -> None:
        if not any(alias.name in self.moves and alias.asname for alias in node.names):
            return
        statements = []
        for alias in node.names:
            name = self.moves.get(alias.name, alias.name)
            statements.append(f"import {name}" + (f" as {alias.asname}" if alias.asname else ""))
        self._replace(node, statements)

    def _rename(self) -> None:
        """Uses of the modules that got another name, in code and in f-strings."""
        renames = {old: new for old, new in self.renames.items() if old != new}
        if not renames:
            return
        imports = [node for node in ast.walk(self.tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        spans = [
            (
                self._offset(node.lineno, node.col_offset),
                self._offset(node.end_lineno or 0, node.end_col_offset or 0),
            )
            for node in imports
        ]
        before = ""
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            start = self.lines[token.start[0] - 1] + token.start[1]
            end = self.lines[token.end[0] - 1] + token.end[1]
            inside = any(begin <= start < stop for begin, stop in spans)
            if token.type == tokenize.NAME and token.string in renames and before != "." and not inside:
                self.edits.append(Edit(start, end, renames[token.string]))
            elif token.type == tokenize.STRING and re.match(r"(?i)[rb]*f", token.string):
                text = token.string
                for old, new in renames.items():
                    text = re.sub(rf"(?<![\w.\"'/]){old}(?=\.\w)", new, text)
                if text != token.string:
                    self.edits.append(Edit(start, end, text))
            before = token.string


def rewrite_paths(text: str, moves: dict[str, str]) -> str:
    """Dotted names and paths of moved modules in strings, comments and documents."""
    for old, new in moves.items():
        if old not in text and old.replace(".", "/") not in text:
            continue
        path = re.escape(old.replace(".", "/"))
        text = re.sub(rf"(?<![\w/]){path}\.py\b", new.replace(".", "/") + ".py", text)
        text = re.sub(rf"(?<![\w.])(?<!from )(?<!import ){re.escape(old)}(?![\w])(?!\.[a-z_]+ import)", new, text) \
            if not _is_package(old, moves) else text  # fmt: skip
    return text


def _is_package(name: str, moves: dict[str, str]) -> bool:
    """Whether an old module's name is the name of a package now: then a mention of it may mean either."""
    return any(new.startswith(f"{name}.") for new in moves.values())


def main() -> int:
    moves = read_map()
    check = "--check" in sys.argv
    if not check:
        move(moves)
    changed = []
    for name in tracked():
        file = ROOT / name
        if not name.endswith(TEXTS):
            continue
        text = file.read_text(errors="surrogateescape")
        new = text
        if name.endswith(".py"):
            new = Rewriter(text, moves).rewrite()
        new = rewrite_paths(new, moves)
        if new != text:
            changed.append(name)
            if not check:
                file.write_text(new, errors="surrogateescape")
    print(f"{len(changed)} files {'use old names' if check else 'changed'}")
    if check:
        print("\n".join(changed))
        return int(bool(changed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
