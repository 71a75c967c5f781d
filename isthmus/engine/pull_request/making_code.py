"""Which files of a project make its resources: the program, what it imports, and what decides which packages it gets.

The project's folder comes first where Python looks for modules, so a module or folder there may hide an installed one.
Code of Isthmus that judges (`isthmus/`, `policies/`) is compared by `commit_pair`.
"""

from __future__ import annotations

import ast
import importlib.machinery
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMPONENTS = "components"
_JUDGING = ("isthmus", "policies")
_COMMANDS = ("isthmus", "cli")
"""The command line starts the program and is no part of it."""
_PACKAGES = (
    *("*requirements*.lock", "*requirements*.txt", "pyproject.toml", "setup.py", "setup.cfg", "uv.lock"),
    *("poetry.lock", "Pipfile", "Pipfile.lock", "pdm.lock", "pylock.toml"),
)
"""Files that say which packages render and deploy, and where they come from, as patterns."""
_OF_DEVELOPERS = (
    "ruff",
    "pyright",
    "mypy",
    "pytest",
    "coverage",
    "importlinter",
    "codespell",
    "mutmut",
    "vulture",
)
_ABOUT_THE_PROJECT = (
    *("name", "version", "description", "readme", "license", "authors", "maintainers", "keywords"),
    *("classifiers", "urls"),
)
"""Tools and keys in `pyproject.toml` that decide about no package."""
_AT_START = ("sitecustomize", "usercustomize")
"""Modules that Python imports by itself."""
_COMPILED = tuple(importlib.machinery.EXTENSION_SUFFIXES)
_CACHE, _BYTECODE = "__pycache__", ".pyc"


@dataclass
class MakingFiles:
    """The files of one commit."""

    content: dict[str, bytes] = field(default_factory=dict)
    """Path from the project's folder → what decides of it."""
    run: set[str] = field(default_factory=set)
    """Those that run although no other file changes: they hide a module, or an unchanged file imports them."""


def making_files(root: Path, main: str) -> MakingFiles:
    """The files in a project's folder that make its resources. `main`: the program's folder in it."""
    root = root.resolve()
    folder = (root / main).resolve()
    files = MakingFiles()
    inside = folder.is_relative_to(root) and folder.is_dir()
    folders = [root / COMPONENTS, *([folder] if inside and folder != root else [])]
    for path in (path for place in folders for path in _code_in(place)):
        _add(files, root, path, runs=_hides(path, root) or path.suffix != ".py")
    if inside and folder == root:
        for path in sorted(root.glob("*.py")):
            _add(files, root, path, runs=_hides(path, root))
    apart = (
        {*_JUDGING, COMPONENTS, *folder.relative_to(root).parts[:1]} if inside else {*_JUDGING, COMPONENTS}
    )
    names = _module_names(root) - apart
    hiding = {name for name in names if _is_known_elsewhere(name, root)}
    for name in hiding:
        for path in (path for place in _places(root / name) for path in _code_in(place)):
            _add(files, root, path, runs=True)
    for path in _imported(root, names - hiding, [path for place in folders for path in place.rglob("*.py")]):
        _add(files, root, path, runs=True)
    for name in _PACKAGES:
        for path in {*root.glob(name), *folder.glob(name)}:
            if path.is_file() and path.is_relative_to(root):
                _add(files, root, path, runs=True)
    return files


def _add(files: MakingFiles, root: Path, path: Path, *, runs: bool) -> None:
    name = _relative(path, root)
    files.content[name] = _content(path)
    if runs:
        files.run.add(name)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _code_in(place: Path) -> Iterator[Path]:
    """Files with code at or below a place; a linked folder stands for what it leads to."""
    if place.is_file() and _is_code(place):
        yield place
    for path in sorted(place.rglob("*")) if place.is_dir() else ():
        if (path.is_symlink() and path.is_dir()) or (path.is_file() and _is_code(path)):
            yield path


def _is_code(path: Path) -> bool:
    """Whether Python runs the file. Of its own cache it takes only what states no source's time unchecked."""
    if path.suffix == _BYTECODE and path.parent.name == _CACHE:
        return path.read_bytes()[4:8] == b"\x01\x00\x00\x00"
    return path.suffix in (".py", _BYTECODE) or path.name.endswith(_COMPILED)


def _hides(path: Path, root: Path) -> bool:
    """Whether Python takes a file for a module that is also elsewhere: beside it, in a package, or installed."""
    stem = path.name.partition(".")[0]
    if path.name == "__init__.py":
        return any(place.is_file() for place in _places(path.parent))
    return path.parent.parent == root and _is_known_elsewhere(stem, root)


def _is_known_elsewhere(name: str, root: Path) -> bool:
    """Whether a module of that name is Python's or installed, so that one in the project's folder hides it."""
    if name in sys.stdlib_module_names or name in _AT_START:
        return True
    others = [folder for folder in sys.path if folder and not _is_same_or_checkout(Path(folder), root)]
    return importlib.machinery.PathFinder.find_spec(name, others) is not None


def _is_same_or_checkout(folder: Path, root: Path) -> bool:
    """Whether a folder of `sys.path` is a project's own folder and no folder of packages."""
    resolved = folder.resolve()
    return resolved == root or (resolved / "Pulumi.yaml").is_file()


def _module_names(root: Path) -> set[str]:
    """Names by which the files and folders at the top of a project can be imported."""
    names: set[str] = set()
    for path in root.iterdir():
        stem = path.name.partition(".")[0]
        is_module = path.is_file() and _is_code(path)
        is_package = path.is_dir() and not (path / "pyvenv.cfg").exists()
        if stem.isidentifier() and (is_module or (is_package and path.name == stem)):
            names.add(stem)
    return names


def _places(module: Path) -> list[Path]:
    """The folder and files by which a module of that path may be there."""
    files = [
        path for path in module.parent.glob(f"{module.name}.*") if path.name.partition(".")[0] == module.name
    ]
    return [*([module] if module.is_dir() and (module / "__init__.py").exists() else []), *sorted(files)]


def _imported(root: Path, names: set[str], making: Iterable[Path]) -> set[Path]:
    """Files of these modules that the program, the components or the code that judges import, by any way."""
    if not names:
        return set()
    any_name = "|".join(map(re.escape, sorted(names)))
    imports = re.compile(rf"(?m)(?:^|;)[ \t]*(?:from|import)\b[^\n]*\b(?:{any_name})\b".encode())
    waiting = [*making]
    for name in _JUDGING:
        waiting += [
            path for path in (root / name).rglob("*.py") if path.relative_to(root).parts[:2] != _COMMANDS
        ]
    imported: set[Path] = set()
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        text = path.read_bytes()
        if path not in imported and not imports.search(text):
            continue
        modules = {name for name in _modules(text, path.relative_to(root)) if name.partition(".")[0] in names}
        for module in modules - seen:
            fresh = set(_files_of(root, module)) - imported
            imported |= fresh
            waiting += [file for file in fresh if file.suffix == ".py"]
        seen |= modules
    return imported


def _modules(text: bytes, path: Path) -> Iterator[str]:
    """Whole names of the modules that a file imports, or may: `from a import b` could mean the module `a.b`."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    package = path.parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _files_of(root: Path, module: str) -> Iterator[Path]:
    """The files that importing a module runs: its own and those of the packages around it."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        here = root.joinpath(*parts[:end])
        for path in (here / "__init__.py", *_places(here)):
            if path.is_file() and _is_code(path):
                yield path


def changed_files(before: Path, old: MakingFiles, after: Path, new: MakingFiles) -> list[str]:
    """Sorted paths of files of either commit that differ. One that is only imported no more, or now, does not."""

    def content(root: Path, files: MakingFiles, name: str) -> bytes | None:
        return files.content.get(name) or (_content(root / name) if (root / name).exists() else None)

    return sorted(
        name
        for name in {*old.content, *new.content}
        if content(before, old, name) != content(after, new, name)
    )


def _content(path: Path) -> bytes:
    """What decides of a file: for one of packages what it says of them, for a linked folder where it leads."""
    if path.is_dir():
        return str(path.readlink()).encode() if path.is_symlink() else b""
    text = path.read_bytes()
    if path.name != "pyproject.toml":
        return text
    try:
        data: dict[str, Any] = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return text
    for table, keys in (("tool", _OF_DEVELOPERS), ("project", _ABOUT_THE_PROJECT)):
        data[table] = {key: value for key, value in (data.get(table) or {}).items() if key not in keys}
    return json.dumps(data, sort_keys=True, default=str).encode()


__all__ = ["COMPONENTS", "MakingFiles", "changed_files", "making_files"]
