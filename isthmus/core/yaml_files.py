"""Read and write the project's YAML files: YAML 1.2, with the line of every key and value.

`load` gives a `Document`: plain Python data (dict, list, str, int, float, bool, None), and
`where(path)` for errors. In YAML 1.2 `on`, `off`, `yes` and `no` are text, as are dates.
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from isthmus.core.errors import EnvironmentFault, InputError, Where
from isthmus.core.yaml_documents import Document, PathOf

if TYPE_CHECKING:
    from isthmus.core.skipped_checks import FurtherCheck

M = TypeVar("M", bound=BaseModel)


def load(path: str | os.PathLike[str]) -> Document:
    """Read a YAML file whose top level is a mapping. Raises `InputError` for every fault."""
    name = os.fspath(path)
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError("there is no such file", where=name, fix="Check the path") from None
    except IsADirectoryError:
        raise InputError(
            "this is a folder, not a file", where=name, fix="Give the path of a YAML file"
        ) from None
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror})", where=name, fix="Check the permissions of the file"
        ) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"the file is not UTF-8 (byte {error.start})", where=Where(name, line), fix="Save it as UTF-8"
        ) from None
    return loads(text, name)


def loads(text: str, file: str | None = None) -> Document:
    """As `load`, from text; `file` is the name that errors print."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    reader = YAML(typ="safe", pure=True)
    try:
        root = reader.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise InputError(
            f"the file does not parse as YAML: {problem}",
            where=Where(file, mark.line + 1 if mark else None),
            fix="Check the indentation, the colons and the quotes of this line and the one above",
        ) from None
    except RecursionError:
        raise InputError("the file is nested too deeply", where=file, fix="Flatten it") from None
    except YAMLError as error:
        problem = " ".join(str(error).split())
        raise InputError(f"the file does not parse as YAML: {problem}", where=file) from None
    if root is None:
        raise InputError("the file is empty", where=file, fix="Begin it with `isthmus: v1`")
    document = Document({}, file)
    builder = _Builder(document)
    data = builder.build(root, ())
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else f"the single value {data!r}"
        raise InputError(
            f"the top level is {kind}, not a mapping",
            where=Where(file, root.start_mark.line + 1),
            fix="Begin the file with `key: value` lines",
        )
    document.data = data
    return document


_KINDS = {f"tag:yaml.org,2002:{kind}": kind for kind in ("null", "bool", "int", "float", "str")}
_MAX_VALUES = 200_000
_CONSTANTS: dict[str, Any] = {"true": True, "false": False}


class _Builder:
    """Converts ruamel's nodes to plain data, records line numbers, and rejects what is ambiguous."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.open: set[int] = set()
        self.built = 0

    def fault(self, message: str, node: Any, fix: str) -> InputError:
        return InputError(message, where=Where(self.document.file, node.start_mark.line + 1), fix=fix)

    def build(self, node: Any, path: PathOf) -> Any:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        self.document.lines[path] = node.start_mark.line + 1
        self.built += 1
        if self.built > _MAX_VALUES:  # a few aliases of aliases can expand to billions of values
            raise self.fault(f"the file expands to more than {_MAX_VALUES} values", node, "Use fewer aliases")
        if not isinstance(node, (MappingNode, SequenceNode)):
            return self.scalar(node)
        if id(node) in self.open:
            raise self.fault("an alias points into itself", node, "Write the value out")
        self.open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
            return self.mapping(node, path)
        finally:
            self.open.discard(id(node))

    def mapping(self, node: Any, path: PathOf) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self.build(key_node, (*path, "")) if key_node.id == "scalar" else None
            self.document.lines.pop((*path, ""), None)
            if not isinstance(key, str):
                raise self.fault("a key is not text", key_node, "Put the key in quotes")
            line = key_node.start_mark.line + 1
            if key in result:
                raise InputError(
                    f"the key `{key}` appears twice (first on line {first[key]})",
                    where=Where(self.document.file, line),
                    fix="Keep one of the two",
                )
            first[key] = line
            self.document.key_lines[(*path, key)] = line
            result[key] = self.build(value_node, (*path, key))
        return result

    def scalar(self, node: Any) -> Any:
        text: str = node.value
        kind = _KINDS.get(str(node.tag))
        if kind is None and str(node.tag) in (
            "tag:yaml.org,2002:timestamp",
            "tag:yaml.org,2002:merge",
            "tag:yaml.org,2002:value",
        ):
            kind = "str"  # YAML 1.2's core schema has no dates and no merge keys
        if kind is None:
            raise self.fault(f"the tag `{node.tag}` is not supported", node, "Remove the tag")
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return _CONSTANTS[text.lower()]
        try:
            if kind == "int":
                return _integer(text)
            value = _float(text)
        except ValueError:
            return text
        if not math.isfinite(value):
            raise self.fault(f"`{text}` is not a finite number", node, "Write a number")
        return value


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2].lower(), 10)
    return sign * int(digits[2:] if base != 10 else digits, base)


def _float(text: str) -> float:
    plain = text.replace("_", "").lower()
    return float(plain.replace(".inf", "inf").replace(".nan", "nan"))


def digest(data: Any) -> str:
    """SHA-256 (hex) of parsed YAML as sorted JSON in UTF-8, without blanks and without defaults filled in."""
    import hashlib
    import json

    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def parse(model: type[M], document: Document, further: FurtherCheck | None = None) -> M:
    """Validate a document against a pydantic model, and by a further check of the whole document if one is given.

    Raises `InputError`, or `Refused` where a validator refuses a valid value (`errors.FieldError`). The error has
    file, line, path, value and what is allowed, and carries every other error of the document.
    """
    from pydantic import ValidationError

    try:
        parsed = model.model_validate(document.data)
    except ValidationError as error:
        from isthmus.core.validation_errors import explain

        raise explain(model, document, error, further) from None
    if further is not None:
        from isthmus.core.validation_errors import locate

        if (wrong := locate(document, further(parsed))) is not None:
            raise wrong
    return parsed


def dump(data: Any, header: str, path: str | os.PathLike[str]) -> None:
    """Write YAML atomically; the same data gives the same bytes.

    `header` is the comment above it (lines without `#`); name the schema by which editors complete and
    check the file with `schema_header`.
    """
    write_text(path, dumps(data, header))


def schema_header(schema: str) -> str:
    """The line by which editors find the JSON Schema: a URL, or a path from the file."""
    return f"yaml-language-server: $schema={schema}"


def dumps(data: Any, header: str = "") -> str:
    """As `dump`, to text."""
    import io
    import re

    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    vars(writer)["sort_base_mapping_type_on_output"] = False  # keep the order of the keys
    writer.allow_unicode = True
    writer.width = 110
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.representer.ignore_aliases = lambda _data: True
    writer.representer.add_representer(str, _string)
    body = io.StringIO()
    writer.dump(data, body)
    head = "".join(f"# {line}".rstrip() + "\n" for line in header.splitlines())
    # The writer leaves a meaningless blank at the end of folded lines. Remove it: otherwise an editor that strips
    # trailing blanks would change the bytes of a lock file.
    return head + re.sub(r" +$", "", body.getvalue(), flags=re.MULTILINE)


def _string(representer: Any, value: str) -> Any:
    """Write a text of several lines (a certificate) as a literal block, so that it and its diffs stay readable."""
    lines = value.removesuffix("\n").split("\n")
    plain = len(lines) > 1 and all(line.isprintable() and line and line == line.strip() for line in lines)
    style = "|" if plain else None
    return representer.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a file atomically. Raises `EnvironmentFault` if it cannot be written."""
    import tempfile  # imported here, because it imports `random`, which takes time

    target = Path(path)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
        raise EnvironmentFault(
            f"the file cannot be written ({error.strerror})",
            where=os.fspath(path),
            fix="Check the free disk space and the permissions of the folder",
        ) from None


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
