"""Locks hold all that is installed, and one script installs them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache

import pytest

from scripts.lock import LOCKS, METADATA, Lock, find_gaps, read_pins
from tests.house.test_house import ROOT, tracked

INSTALLER = "sandbox/toolchain/install_lock.py"
OTHER_LOCKS = {"sandbox/local/keycloak.lock"}
"""Locks of Maven's files."""


@cache
def metadata() -> dict[str, list[str]]:
    return json.loads(METADATA.read_text())


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.file)
def test_every_requirement_of_a_locks_packages_is_pinned_in_it(lock: Lock):
    assert find_gaps(lock.path.read_text(), metadata(), lock) == []


def test_every_lock_of_python_packages_is_checked():
    files = {str(path.relative_to(ROOT)) for path in tracked() if path.suffix == ".lock"}
    assert files == {lock.file for lock in LOCKS} | OTHER_LOCKS


def test_the_metadata_is_of_pinned_versions_only():
    pinned = {pin.key for lock in LOCKS for pin in read_pins(lock.path.read_text())}
    assert set(metadata()) <= pinned


ANY = Lock("any.lock")


@pytest.mark.parametrize(
    ("lines", "requirements", "gap"),
    [
        (["a==1", "b==1"], ["b[http2]"], "a==1 requires b[http2], but b is pinned without [http2]"),
        (["a==1"], ["b>=2"], "a==1 requires b>=2, which is not pinned"),
        (["a==1", "b==1"], ["b>=2"], "a==1 requires b>=2, but 1 is pinned"),
        (["a[more]==1"], ['b; extra == "more"'], "a==1 requires b, which is not pinned"),
        (["a==1"], ['b; python_version < "3.12"'], "a==1 requires b, which is not pinned"),
        (["a==1", 'b==1 ; python_version < "3.12"'], ["b"], "a==1 requires b, which is not pinned"),
        (
            ["a[all]==1"],
            ['a[more]; extra == "all"', 'b; extra == "more"'],
            "a==1 requires b, which is not pinned",
        ),
    ],
)
def test_a_requirement_without_its_pin_is_a_gap(lines: list[str], requirements: list[str], gap: str):
    text = "".join(f"{line} --hash=sha256:0\n" for line in lines)
    assert find_gaps(text, {"a==1": requirements, "b==1": []}, ANY) == [gap]


@pytest.mark.parametrize(
    ("lines", "requirements"),
    [
        (["a==1", "b[http2]==1"], ["b[http2]"]),
        (["a==1", "b==1", "b[http2]==1"], ["b[http2]"]),
        (["a==1"], ['b; extra == "more"', 'b; sys_platform == "win32"']),
        (["a==1", 'b==1 ; python_version < "3.12"'], ['b; python_version < "3.12"']),
        (["# left out: b", "a==1"], ["b"]),
    ],
)
def test_a_requirement_that_is_pinned_or_not_needed_is_no_gap(lines: list[str], requirements: list[str]):
    text = "".join(line + ("\n" if line.startswith("#") else " --hash=sha256:0\n") for line in lines)
    assert find_gaps(text, {"a==1": requirements, "b==1": []}, ANY) == []


def test_a_pin_without_a_hash_or_with_two_versions_is_a_gap():
    text = "a==1 --hash=sha256:0\na==2 --hash=sha256:0\nb==1\n"
    assert find_gaps(text, {"a==1": [], "a==2": [], "b==1": []}, ANY) == [
        "b==1 has no hash",
        "a==1 and a==2 are both pinned",
    ]


def calls_pip(words: list[str]) -> bool:
    """Whether the words of a command call `pip` or `uv` to get packages."""
    names = [word.rpartition("/")[2] for word in words]
    pips = [
        at for at, name in enumerate(names) if name in ("pip", "pip3") and (at == 0 or names[at - 1] == "-m")
    ]
    harmless = {"check", "uninstall"} & {*names}
    return len(names) > 2 and ((bool(pips) and not harmless) or names[0] in ("uv", "uvx"))


def commands_of_python(text: str) -> Iterator[list[str]]:
    """The words of each list, tuple and call of a program. A word that is computed is an empty one."""
    for node in ast.walk(ast.parse(text)):
        parts = node.elts if isinstance(node, (ast.List, ast.Tuple)) else getattr(node, "args", None)
        if isinstance(parts, list):
            values = (part.value if isinstance(part, ast.Constant) else "" for part in parts)
            words = [value if isinstance(value, str) else "" for value in values]
            yield words
            yield words[0].split() if isinstance(node, ast.Call) and words else []


def commands_of_shell(text: str) -> Iterator[list[str]]:
    """The commands of a recipe, a stage of an image or a script."""
    for line in text.replace("\\\n", " ").splitlines():
        for command in re.split(r"&&|\|\||;|\|", line):
            words = re.sub(r"^\s*(RUN|[$@-])\s*|^\s+", "", command).split()
            while words and ("=" in words[0] or words[0].startswith("--mount")):
                words = words[1:]
            yield words


def code_blocks(text: str) -> str:
    """The commands of a page: what is fenced or indented."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"^ {4}.+", text, re.MULTILINE)])


def pip_calls() -> dict[str, list[list[str]]]:
    """The calls of `pip` and `uv` by file."""
    found: dict[str, list[list[str]]] = {}
    for path in tracked():
        if path.suffix == ".py":
            commands = commands_of_python(path.read_text())
        elif path.suffix == ".md":
            commands = commands_of_shell(code_blocks(path.read_text()))
        elif path.name in ("Makefile", "Containerfile", "run") or path.suffix in (".sh", ".yml", ".yaml"):
            commands = commands_of_shell(path.read_text())
        else:
            continue
        if calls := [words for words in commands if calls_pip(words)]:
            found[str(path.relative_to(ROOT))] = calls
    return found


def test_only_the_installer_and_the_writer_of_locks_call_pip():
    calls = pip_calls()
    assert set(calls) == {INSTALLER, "scripts/lock.py"}, calls


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (commands_of_python, 'run([sys.executable, "-m", "pip", "install", name])'),
        (commands_of_python, 'pip = [python, *["-m"], "-m", "pip", command]'),
        (commands_of_python, 'run("pip install x", shell=True)'),
        (commands_of_shell, "\t@$(BIN)/pip install -r x.lock"),
        (
            commands_of_shell,
            "RUN A=1 python -m venv /opt && /opt/bin/pip install \\\n  --require-hashes -r x",
        ),
        (commands_of_shell, "uv pip install x"),
    ],
)
def test_a_call_of_pip_is_seen(read, text: str):
    assert any(calls_pip(words) for words in read(text))
