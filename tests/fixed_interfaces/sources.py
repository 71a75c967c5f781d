"""Reads the text of the product's source, so that a sample does not depend on the names of modules and functions."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("isthmus", "components", "policies", "stacks", "sandbox", "edge")
OTHER_VERSIONS = ("isthmus.engine.seen",)
"""`isthmus ci` starts this module in the checkout of the commit before, so its name is as fixed as its JSON."""
_CODE = re.compile(r"[a-z]+(_[a-z0-9]+)*")
_METRIC = re.compile("counter|gauge|histogram", re.IGNORECASE)
_OWN_VARIABLE = re.compile(r"\bISTHMUS_[A-Z][A-Z0-9_]*")
_FOREIGN_VARIABLE = re.compile(
    r"""["']((?:AWS|PULUMI|DOCKER|KUBE|KWOK|LITELLM|SSL|XDG|OTEL|HF|VLLM|NCCL|GLOO|GITHUB|GITLAB|CI)_[A-Z0-9_]+"""
    r"""|(?:HTTPS?|NO|ALL)_PROXY|KUBECONFIG|COLUMNS|GOGC|PYTHONPATH)["'=]"""
)
_READ_VARIABLE = re.compile(r"""\bos\.(?:environ(?:\.\w+)?|getenv)[\[(]["']([A-Z][A-Z0-9_]+)["']""")


@functools.cache
def _text(path: Path) -> str:
    return path.read_text("utf-8")


@functools.cache
def files(*folders: str, suffixes: tuple[str, ...] = (".py",)) -> tuple[Path, ...]:
    """The source files below these folders of the checkout, sorted."""
    return tuple(
        sorted(
            path
            for folder in folders
            for path in (ROOT / folder).rglob("*")
            if path.suffix in suffixes and "__pycache__" not in path.parts
        )
    )


@functools.cache
def _trees(*folders: str) -> tuple[ast.Module, ...]:
    return tuple(ast.parse(_text(path)) for path in files(*folders))


def _nodes(*folders: str) -> Iterator[ast.AST]:
    for tree in _trees(*folders):
        yield from ast.walk(tree)


def error_codes() -> dict[str, str]:
    """Each error code of the edge with the HTTP statuses that the source gives it (empty: it is set elsewhere).

    A code is the text after a status (`Refusal(404, "model_not_found", …)`, a tuple of both), before a sentence
    (`Unrecorded("audit_unwritable", "The gateway …")`), or the value of a variable or argument named `code`.
    """
    statuses: dict[str, set[int]] = {}
    for node in _nodes("edge"):
        if isinstance(node, ast.Call | ast.Tuple):
            arguments = node.args if isinstance(node, ast.Call) else node.elts
            if not (isinstance(node, ast.Call) and _METRIC.search(_name(node.func))):
                _note_arguments(arguments, statuses)
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "code":
                    _note_codes(keyword.value, statuses)
        if isinstance(node, ast.Assign) and any(_name(target) == "code" for target in node.targets):
            _note_codes(node.value, statuses)
        if isinstance(node, ast.AnnAssign) and _name(node.target) == "code" and node.value is not None:
            _note_codes(node.value, statuses)
        if isinstance(node, ast.JoinedStr) and (prefix := re.match(r"f'(invalid_)\{", ast.unparse(node))):
            statuses.setdefault(f"{prefix[1]}…", set())
    return {code: " ".join(map(str, sorted(numbers))) for code, numbers in statuses.items()}


def _note_arguments(arguments: list[ast.expr], statuses: dict[str, set[int]]) -> None:
    if len(arguments) < 2:
        return
    first, second = arguments[0], arguments[1]
    if isinstance(first, ast.Constant) and type(first.value) is int and 400 <= first.value < 600:
        for code in _texts(second):
            if _CODE.fullmatch(code):
                statuses.setdefault(code, set()).add(first.value)
    elif _is_sentence(second):
        for code in _texts(first):
            if "_" in code and _CODE.fullmatch(code):
                statuses.setdefault(code, set())


def _is_sentence(node: ast.expr) -> bool:
    texts = [
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    return bool(texts) and texts[-1].rstrip().endswith(".") and any(" " in text for text in texts)


def _note_codes(node: ast.expr, statuses: dict[str, set[int]]) -> None:
    for code in _texts(node):
        if _CODE.fullmatch(code):
            statuses.setdefault(code, set())


def _texts(node: ast.expr) -> list[str]:
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body), *_texts(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def environment_variables() -> dict[str, str]:
    """Each environment variable that the product names, with the top folders that name it."""
    folders: dict[str, set[str]] = {}
    for folder in (*PRODUCT, "blueprints", "templates"):
        for path in files(folder, suffixes=(".py", ".j2", ".yaml", ".go")):
            for pattern in (_OWN_VARIABLE, _FOREIGN_VARIABLE, _READ_VARIABLE):
                for name in pattern.findall(_text(path)):
                    folders.setdefault(name, set()).add(folder)
    return {name: " ".join(sorted(places)) for name, places in folders.items()}


def module_commands() -> dict[str, str]:
    """The modules that pods, operators and other versions start with `python -m`, and how the images start."""
    notes: dict[str, set[str]] = {}
    for folder in PRODUCT:
        for path in files(folder):
            for module in re.findall(r"""["']-m["'],\s*["'](edge[a-z_.]*)["']""", _text(path)):
                notes.setdefault(f"python -m {module}", set()).add(f"started by {folder}")
    for path in files("edge"):
        if '__name__ == "__main__"' in _text(path):
            notes.setdefault(f"python -m {_module(path)}", set()).add("a program")
    for module in OTHER_VERSIONS:
        path = ROOT / f"{module.replace('.', '/')}.py"
        if path.is_file() and '__name__ == "__main__"' in _text(path):
            notes[f"python -m {module}"] = {"started in a checkout of another version"}
    lines = re.findall(r"^(?:ENTRYPOINT|CMD|USER|EXPOSE) .*", _text(ROOT / "edge" / "Containerfile"), re.M)
    return {name: ", ".join(sorted(texts)) for name, texts in notes.items()} | {
        f"image {line.split()[0]}": line.partition(" ")[2] for line in lines
    }


def programs_with_options() -> list[str]:
    """Modules of the edge that run as programs and read arguments."""
    texts = {path: _text(path) for path in files("edge") if '__name__ == "__main__"' in _text(path)}
    return [_module(path) for path, text in texts.items() if "argparse" in text]


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")


def labels() -> dict[str, str]:
    """Each label or annotation `isthmus.dev/NAME` that the product sets or reads, with the folders that name it."""
    folders: dict[str, set[str]] = {}
    for folder in (*PRODUCT, "blueprints"):
        for path in files(folder, suffixes=(".py", ".j2", ".yaml")):
            for name in re.findall(r"\bisthmus\.dev/[a-z][a-z0-9-]*", _text(path)):
                folders.setdefault(name, set()).add(folder)
    return {name: " ".join(sorted(places)) for name, places in folders.items()}


def metric_names_in_texts() -> dict[str, str]:
    """Metrics that the edge writes as text (`# TYPE NAME KIND`, `"NAME KIND"`): name → kind."""
    kinds: dict[str, str] = {}
    for node in _nodes("edge"):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for name, kind in re.findall(r"# TYPE (isthmus_[a-z_]+) (counter|gauge|histogram)", node.value):
                kinds[name] = kind
            if short := re.fullmatch(r"([a-z]+(?:_[a-z]+)+) (counter|gauge)", node.value):
                kinds[f"isthmus_{short[1]}"] = short[2]
    return kinds
