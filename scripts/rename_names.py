"""Rename variables, parameters, functions and constants by the maps in `scripts/name_map/`.

    python -m scripts.rename_names list isthmus/planning    # list filler names as lines of a map, with suggestions
    python -m scripts.rename_names apply                    # apply every map
    python -m scripts.rename_names apply planning.txt       # apply one map

Needs libcst, which the product does not: `pip install libcst` into an environment of your own.

A line of a map is `FILE SCOPE OLD#N NEW`. SCOPE is a dotted function or class path, or `<module>`. OLD#N is the Nth
place of SCOPE that binds OLD: a comprehension, a loop whose variable is used in the loop alone, or the function.
Text after `|` is a comment. A line whose name is no longer there has been applied before; it is skipped.

The program follows a parameter to the calls that name it, and a name of a module to the files that import it. It
reads the result again and refuses a rename after which any name of the file would mean something else. It does not
rename fields, methods, or names in strings.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import libcst as cst  # pyright: ignore[reportMissingImports]
from libcst import metadata as meta  # pyright: ignore[reportMissingImports]

ROOT = Path(__file__).resolve().parents[1]
MAPS = Path(__file__).with_name("name_map")
FILLERS = frozenset(
    """each found made given asked told said one every parts own chosen kept standing others ours held space will was
    sides answered wanted stated known seen taken named called whole rest here there what who which way ways word words
    thing things anybody nobody both other it""".split()  # noqa: SIM905
)
FOLDERS = (
    "isthmus",
    "components",
    "policies",
    "sandbox",
    "edge",
    "trainer",
    "stacks",
    "tests",
    "bench",
    "scripts",
)
Position = tuple[int, int]


@dataclass
class Binding:
    """One place that binds a name, with every node that refers to it."""

    scope: str
    name: str
    nodes: list[Any]
    line: int
    source: Any
    """The iterable of a loop or comprehension, for a suggestion."""
    parameter: bool = False
    module_level: bool = False
    number: int = 0


@dataclass
class SourceFile:
    path: Path
    text: str = ""
    module: Any = None
    positions: dict[Any, Any] = field(default_factory=dict)
    parents: dict[Any, Any] = field(default_factory=dict)
    scopes: dict[Any, Any] = field(default_factory=dict)

    def read(self, text: str | None = None) -> SourceFile:
        self.text = self.path.read_text() if text is None else text
        wrapper = meta.MetadataWrapper(cst.parse_module(self.text), unsafe_skip_copy=True)
        tables = wrapper.resolve_many([meta.PositionProvider, meta.ScopeProvider, meta.ParentNodeProvider])
        self.module = wrapper.module
        self.positions, self.scopes, self.parents = (
            tables[meta.PositionProvider], tables[meta.ScopeProvider], tables[meta.ParentNodeProvider],
        )  # fmt: skip
        return self

    def at(self, node: Any) -> Position:
        start = self.positions[node].start
        return start.line, start.column

    def above(self, node: Any) -> Iterator[Any]:
        node = self.parents.get(node)
        while node is not None:
            yield node
            node = self.parents.get(node)

    def dotted_scope(self, node: Any) -> str:
        names = [
            parent.name.value
            for parent in self.above(node)
            if isinstance(parent, cst.FunctionDef | cst.ClassDef)
        ]
        return ".".join(reversed(names)) or "<module>"

    # ---- bindings

    def _groups(self) -> Iterator[tuple[Any, str, list[Any], list[Any]]]:
        """Scope, name, nodes that bind it, nodes that refer to it."""
        for scope in {id(scope): scope for scope in self.scopes.values() if scope is not None}.values():
            for name in {assignment.name for assignment in scope.assignments}:
                binders, uses = [], []
                for assignment in scope[name]:
                    if assignment.scope is not scope or not isinstance(assignment, meta.Assignment):
                        continue
                    node = assignment.node
                    if isinstance(node, cst.Import | cst.ImportFrom | cst.ImportAlias):
                        binders = []
                        break
                    binders.append(_name_node(node, name))
                    uses += [_name_node(access.node, name) for access in assignment.references]
                if binders and all(node is not None for node in binders + uses):
                    yield scope, name, binders, list({id(node): node for node in uses}.values())

    def bindings(self) -> list[Binding]:
        listed = []
        for scope, name, binders, uses in self._groups():
            if isinstance(scope, meta.ClassScope):
                continue
            for group in self._by_loop(scope, binders, uses):
                nodes = list({id(node): node for node in group}.values())
                first = min(nodes, key=self.at)
                listed.append(
                    Binding(
                        scope=self._scope_name(scope, first),
                        name=name,
                        nodes=nodes,
                        line=self.at(first)[0],
                        source=self._iterable(first),
                        parameter=any(isinstance(self.parents.get(node), cst.Param) for node in nodes),
                        module_level=isinstance(scope, meta.GlobalScope),
                    )
                )
        listed.sort(key=lambda binding: min(self.at(node) for node in binding.nodes))
        counted: dict[tuple[str, str], int] = defaultdict(int)
        for binding in listed:
            counted[binding.scope, binding.name] += 1
            binding.number = counted[binding.scope, binding.name]
        return listed

    def _scope_name(self, scope: Any, node: Any) -> str:
        if isinstance(scope, meta.GlobalScope):
            return "<module>"
        parent = self.parents.get(node)
        if isinstance(parent, cst.FunctionDef):  # a nested function: it is bound by the function around
            return self.dotted_scope(parent)
        return self.dotted_scope(node)

    def _by_loop(self, scope: Any, binders: list[Any], uses: list[Any]) -> list[list[Any]]:
        """One group for each loop, where every use is inside the loop that binds it."""
        if isinstance(scope, meta.ComprehensionScope):
            return [binders + uses]
        loops = []
        for binder in binders:
            above = (parent for parent in self.above(binder) if isinstance(parent, cst.For | cst.FunctionDef))
            loop = next(above, None)
            if loop is None or not isinstance(loop, cst.For) or not self._inside(binder, loop.target):
                return [binders + uses]
            loops.append(loop)
        if len(loops) < 2 or any(a is not b and self._inside(a, b) for a in loops for b in loops):
            return [binders + uses]
        groups = {id(loop): [binder] for loop, binder in zip(loops, binders, strict=True)}
        for use in uses:
            homes = [loop for loop in loops if self._inside(use, loop.body)]
            if len(homes) != 1:
                return [binders + uses]
            groups[id(homes[0])].append(use)
        return list(groups.values())

    def _inside(self, node: Any, outer: Any) -> bool:
        return node is outer or any(parent is outer for parent in self.above(node))

    def _iterable(self, node: Any) -> Any:
        for parent in self.above(node):
            if isinstance(parent, cst.For | cst.CompFor):
                return parent.iter if self._inside(node, parent.target) else None
            if isinstance(parent, cst.FunctionDef):
                return None
        return None

    # ---- what every name means, to compare before and after

    def meanings(self) -> dict[Position, frozenset[Position]]:
        """Place of a name → the places that mean the same. Places are counted, since columns move."""
        order = {
            self.at(node): number
            for number, node in enumerate(
                sorted((node for node in self.positions if isinstance(node, cst.Name)), key=self.at)
            )
        }
        groups = {}
        for scope in {id(scope): scope for scope in self.scopes.values() if scope is not None}.values():
            for name in {assignment.name for assignment in scope.assignments}:
                places = set()
                for assignment in scope[name]:
                    if assignment.scope is not scope or not isinstance(assignment, meta.Assignment):
                        continue
                    for node in [assignment.node, *(access.node for access in assignment.references)]:
                        name_node = _name_node(node, name)
                        if name_node is not None and self.at(name_node) in order:
                            places.add(order[self.at(name_node)])
                for place in places:
                    groups[place] = frozenset(places)
        return groups


def _name_node(node: Any, name: str) -> Any:
    if isinstance(node, cst.Name):
        return node
    if isinstance(node, cst.FunctionDef | cst.ClassDef):
        return node.name
    if isinstance(node, cst.Param):
        return node.name
    if isinstance(node, cst.Attribute):
        return _name_node(node.value, name)
    return None


# ---- suggestions


def singular(plural: str) -> str:
    for end, replacement in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")):
        if plural.endswith(end) and len(plural) > len(end) + 1:
            return plural[: -len(end)] + replacement
    return plural[:-1] if plural.endswith("s") and not plural.endswith("ss") else ""


def suggestion(binding: Binding) -> str:
    node = binding.source
    for _ in range(6):
        if isinstance(node, cst.Call):
            name = (
                node.func.attr.value
                if isinstance(node.func, cst.Attribute)
                else getattr(node.func, "value", "")
            )
            if name in ("values", "items", "get") and isinstance(node.func, cst.Attribute):
                node = node.func.value
            elif node.args and name in ("sorted", "list", "set", "tuple", "enumerate", "reversed", "zip"):
                node = node.args[0].value
            else:
                return singular(name) if isinstance(name, str) else ""
        elif isinstance(node, cst.Attribute):
            return singular(node.attr.value.strip("_").lower())
        elif isinstance(node, cst.Name):
            return singular(node.value.strip("_").lower())
        elif isinstance(node, cst.BooleanOperation | cst.BinaryOperation):
            node = node.left
        elif isinstance(node, cst.Subscript):
            node = node.value
        else:
            return ""
    return ""


def list_fillers(paths: Iterable[str]) -> None:
    for path in python_files(paths):
        file = SourceFile(path).read()
        lines = file.text.splitlines()
        for binding in file.bindings():
            if binding.name.strip("_") in FILLERS and binding.scope:
                name = suggestion(binding)
                new = "?" if name in FILLERS else name or "?"
                line = f"{binding.line}: {lines[binding.line - 1].strip()[:90]}"
                print(
                    path.relative_to(ROOT), binding.scope, f"{binding.name}#{binding.number}", new, "|", line
                )


def python_files(paths: Iterable[str]) -> list[Path]:
    files: list[Path] = []
    for name in paths:
        path = ROOT / name
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [path for path in files if "snapshots" not in path.parts and ".venv" not in path.parts]


# ---- renames


@dataclass(frozen=True)
class Rename:
    path: Path
    scope: str
    old: str
    number: int
    new: str


def read_maps(names: list[str]) -> list[Rename]:
    renames = []
    for map_file in sorted(MAPS.glob("*.txt")):
        if names and map_file.name not in names:
            continue
        for line in map_file.read_text().splitlines():
            fields = line.partition("|")[0].split()
            if not fields or fields[0].startswith("#") or fields[-1] == "?":
                continue
            if len(fields) != 4:
                print(f"{map_file.name}: not four words: {line}")
                continue
            old, _, number = fields[2].partition("#")
            renames.append(Rename(ROOT / fields[0], fields[1], old, int(number or 1), fields[3]))
    return renames


def apply(renames: list[Rename]) -> int:
    by_file: dict[Path, list[Rename]] = defaultdict(list)
    for rename in renames:
        by_file[rename.path].append(rename)
    refused = 0
    beyond: list[tuple[Rename, Binding]] = []
    for path, file_renames in by_file.items():
        if not path.exists():
            print(f"{path.relative_to(ROOT)}: no such file")
            continue
        words_in_file = set(re.findall(r"\w+", path.read_text()))
        file_renames = [rename for rename in file_renames if rename.old in words_in_file]
        if not file_renames:
            continue
        file = SourceFile(path).read()
        bindings = {(binding.scope, binding.name, binding.number): binding for binding in file.bindings()}
        present = [
            (rename, bindings.get((rename.scope, rename.old, rename.number))) for rename in file_renames
        ]
        planned = [
            (rename, binding)
            for rename, binding in present
            if binding is not None and rename.new != rename.old
        ]
        text = checked(file, planned)
        if text is None:
            accepted, rejected = split_accepted(file, [], planned)
            for rename, _ in rejected:
                refused += 1
                name = f"{rename.old}#{rename.number}"
                print(f"REFUSED {path.relative_to(ROOT)} {rename.scope} {name} {rename.new}")
            planned = accepted
            text = checked(file, planned)
        if text is not None and text != file.text:
            path.write_text(text)
        beyond += [
            (rename, binding) for rename, binding in planned if binding.parameter or binding.module_level
        ]
    follow(beyond)
    return refused


def split_accepted(
    file: SourceFile, accepted: list[tuple[Rename, Binding]], pairs: list[tuple[Rename, Binding]]
) -> tuple[list[tuple[Rename, Binding]], list[tuple[Rename, Binding]]]:
    """The renames that can be made after `accepted`, and those that cannot, by halving."""
    if checked(file, [*accepted, *pairs]) is not None:
        return [*accepted, *pairs], []
    if len(pairs) == 1:
        return accepted, pairs
    middle = len(pairs) // 2
    accepted, first = split_accepted(file, accepted, pairs[:middle])
    accepted, second = split_accepted(file, accepted, pairs[middle:])
    return accepted, [*first, *second]


def checked(file: SourceFile, pairs: list[tuple[Rename, Binding]]) -> str | None:
    """The new text, or None where a name would mean something else."""
    edits = [(file.at(node), node.value, rename.new) for rename, binding in pairs for node in binding.nodes]
    if not edits:
        return file.text
    text = edited(file.text, edits)
    try:
        after = SourceFile(file.path).read(text)
    except cst.ParserSyntaxError:
        return None
    before_groups, after_groups = file.meanings(), after.meanings()
    if before_groups.keys() != after_groups.keys():
        return None
    ok = all(after_groups[place] <= group for place, group in before_groups.items())
    return text if ok else None


def edited(text: str, edits: Iterable[tuple[Position, str, str]]) -> str:
    lines = text.splitlines(keepends=True)
    for (line, column), old, new in sorted(set(edits), reverse=True):
        content = lines[line - 1]
        assert content[column : column + len(old)] == old, (line, column, old, content)
        lines[line - 1] = content[:column] + new + content[column + len(old) :]
    return "".join(lines)


def follow(pairs: list[tuple[Rename, Binding]]) -> None:
    """Rewrite the calls that name a parameter, and the files that import a name."""
    parameters: dict[tuple[str, str], set[str]] = defaultdict(set)
    names: dict[tuple[str, str], str] = {}
    for rename, binding in pairs:
        if binding.module_level:
            names[module_of(rename.path), rename.old] = rename.new
        if binding.parameter:
            scope = rename.scope.split(".")
            function = scope[-2] if scope[-1] == "__init__" and len(scope) > 1 else scope[-1]
            parameters[function, rename.old].add(rename.new)
    if not parameters and not names:
        return
    for (function, old), new in parameters.items():
        if len(new) > 1:
            print(f"by hand: {function}({old}=) became {', '.join(sorted(new))}")
    calls = [(re.compile(rf"\b{function}\b"), re.compile(rf"\b{old}\s*=")) for function, old in parameters]
    modules = {module for module, _ in names}
    for path in python_files(FOLDERS):
        text = path.read_text()
        is_called = any(function.search(text) and keyword.search(text) for function, keyword in calls)
        if not is_called and not any(module in text or names_module(text, module) for module in modules):
            continue
        tree = cst.parse_module(text)
        wrapper = meta.MetadataWrapper(tree, unsafe_skip_copy=True)
        positions, scopes = wrapper.resolve(meta.PositionProvider), wrapper.resolve(meta.ScopeProvider)
        visitor = Follower(positions, scopes, parameters, names)
        wrapper.module.visit(visitor)
        if visitor.edits:
            path.write_text(edited(text, visitor.edits))
        for module, old in names:
            if module.rpartition(".")[2] in text and re.search(rf"[\"'][\w.]*\b{old}[\"']", text):
                print(f"look: {path.relative_to(ROOT)} has {old!r} in a string; {module} renamed it")


def names_module(text: str, module: str) -> bool:
    """Whether a file imports a module by its package."""
    package, _, name = module.rpartition(".")
    return re.search(rf"from {re.escape(package)} import [^\n]*\b{name}\b", text) is not None or (
        f"from {package} import (" in text and name in text
    )


def module_of(path: Path) -> str:
    dotted = str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
    return dotted.removesuffix(".__init__")


class Follower(cst.CSTVisitor):
    def __init__(
        self, positions: Any, scopes: Any, parameters: dict[Any, set[str]], names: dict[tuple[str, str], str]
    ) -> None:
        self.positions, self.scopes, self.parameters, self.names = positions, scopes, parameters, names
        self.not_variables: set[Any] = set()
        self.edits: list[tuple[Position, str, str]] = []
        self.aliases: dict[str, str] = {}
        self.renamed: dict[str, str] = {}

    def _edit(self, node: Any, new: str) -> None:
        start = self.positions[node].start
        self.edits.append(((start.line, start.column), node.value, new))

    def visit_ImportFrom(self, node: Any) -> None:
        if node.module is None or isinstance(node.names, cst.ImportStar):
            return
        module = cst.Module([]).code_for_node(node.module)
        for alias in node.names:
            name = alias.name.value
            bound = alias.asname.name.value if alias.asname else name
            self.aliases[bound] = f"{module}.{name}"
            new = self.names.get((module, name))
            if new:
                self._edit(alias.name, new)
                if not alias.asname:
                    self.renamed[name] = new

    def visit_Import(self, node: Any) -> None:
        for alias in node.names:
            if alias.asname:
                self.aliases[alias.asname.name.value] = cst.Module([]).code_for_node(alias.name)

    def visit_Attribute(self, node: Any) -> None:
        self.not_variables.add(node.attr)
        if isinstance(node.value, cst.Name):
            new = self.names.get((self.aliases.get(node.value.value, ""), node.attr.value))
            if new:
                self._edit(node.attr, new)

    def visit_Name(self, node: Any) -> None:
        new = self.renamed.get(node.value)
        if new and node not in self.not_variables and self._is_imported(node):
            self._edit(node, new)

    def _is_imported(self, node: Any) -> bool:
        """Whether the name is the imported one, not a local variable, a method or a keyword of the same name."""
        scope = self.scopes.get(node)
        return scope is not None and any(
            isinstance(assignment, meta.ImportAssignment) for assignment in scope[node.value]
        )

    def visit_Call(self, node: Any) -> None:
        function = (
            node.func.attr.value if isinstance(node.func, cst.Attribute) else getattr(node.func, "value", "")
        )
        if function == "partial" and node.args:
            first = node.args[0].value
            function = first.attr.value if isinstance(first, cst.Attribute) else getattr(first, "value", "")
        for argument in node.args:
            if argument.keyword is not None:
                self.not_variables.add(argument.keyword)
                new = self.parameters.get((function, argument.keyword.value), set())
                if len(new) == 1:
                    self._edit(argument.keyword, next(iter(new)))


def main() -> int:
    command, *arguments = sys.argv[1:] or ["help"]
    if command == "list":
        list_fillers(arguments)
        return 0
    if command == "apply":
        refused = apply(read_maps(arguments))
        subprocess.run(["git", "diff", "--shortstat"], cwd=ROOT, check=True)
        return int(bool(refused))
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main())
