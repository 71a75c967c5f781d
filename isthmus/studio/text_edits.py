"""Changes values in the text of a YAML file, and leaves every other character as it is: comments, order, layout.

Each edit returns a new text. It is parsed again and compared with what the edit should have made; if they differ, the
edit is refused, so a layout that this module does not understand is never damaged.
"""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from isthmus.core import yaml_files
from isthmus.core.errors import InputError
from isthmus.core.yaml_documents import PathOf, dotted

_WIDE = 1 << 20
"""A line width at which the writer folds nothing."""


def set_value(text: str, path: PathOf, value: Any) -> str:
    """Return the text with a value at a path; keys that lead to it are added. Raises `InputError`."""
    *parents, key = path
    while parents and isinstance(key, str) and _is_absent(yaml_files.loads(text).data, (*parents,)):
        value, key = {key: value}, parents.pop()
    path = (*parents, key)

    def change(data: Any) -> None:
        _at(data, (*parents,))[key] = value

    return _checked(text, path, change, lambda tree: tree.set(path, value))


def add_item(text: str, path: PathOf, value: Any) -> str:
    """Return the text with a new last item of the list at a path; the list is made if it is absent."""

    def change(data: Any) -> None:
        parent = _at(data, path[:-1])
        if not isinstance(parent.get(path[-1]), list):
            parent[path[-1]] = []
        parent[path[-1]].append(value)

    return _checked(text, path, change, lambda tree: tree.append(path, value))


def remove(text: str, path: PathOf) -> str:
    """Return the text without a key or an item of a list. Comments above it stay."""

    def change(data: Any) -> None:
        del _at(data, path[:-1])[path[-1]]

    return _checked(text, path, change, lambda tree: tree.remove(path))


def _checked(text: str, path: PathOf, change: Callable[[Any], None], edit: Callable[[_Tree], str]) -> str:
    """The edited text, if its data are those of the old text with the change."""
    data = yaml_files.loads(text).data
    expected = copy.deepcopy(data)
    place = dotted(data, path)
    try:
        change(expected)
        edited = edit(_Tree(text))
    except (KeyError, IndexError, TypeError, AttributeError, _NotUnderstood):
        raise InputError(
            "there is no such place in the file", where=place, fix="Change it in the text of the file"
        ) from None
    try:
        is_right = yaml_files.loads(edited).data == expected
    except InputError:
        is_right = False
    if not is_right:
        raise InputError(
            "the layout of the file at this place is too unusual to change it from the form",
            where=place,
            fix="Change it in the text of the file",
        )
    return edited


def _is_absent(data: Any, path: PathOf) -> bool:
    """Whether a key of a mapping is missing, or has no value."""
    try:
        return _at(data, path) is None
    except KeyError:
        return True
    except (IndexError, TypeError):
        return False


def _at(data: Any, path: PathOf) -> Any:
    for part in path:
        data = data[part]
    return data


class _NotUnderstood(Exception):
    """A layout that is edited in no way."""


@dataclass
class _Found:
    """A value in the tree: its node, and the node of the key that leads to it."""

    node: Any
    key: Any = None
    in_flow: bool = False
    """Whether it stands in a collection on one line."""


class _Tree:
    """The nodes of a text, with their places in it."""

    def __init__(self, text: str) -> None:
        self.text = text if text.endswith("\n") else text + "\n"
        self.lines = _lines(self.text)
        self.root = YAML(typ="safe", pure=True).compose(self.text)

    def set(self, path: PathOf, value: Any) -> str:
        found = self._find(path)
        if found is None:
            return self._add_key(self._container(path[:-1]), path, value)
        node = found.node
        if _is_block(node) or (isinstance(node, ScalarNode) and node.style in ("|", ">")):
            return self._replace_block(found, value)
        return self._splice(node.start_mark.index, node.end_mark.index, _flow(value))

    def append(self, path: PathOf, value: Any) -> str:
        found = self._find(path)
        if found is None:
            return self._add_key(self._container(path[:-1]), path, [value])
        node = found.node
        if not isinstance(node, SequenceNode):
            raise _NotUnderstood
        if not _is_block(node):
            values = yaml_files.loads(self.text).data
            return self._replace_flow(found, [*_at(values, path), value])
        column = _dash_column(self.lines, node)
        return self._insert_after(self._last_line(node), _block([value], column))

    def remove(self, path: PathOf) -> str:
        found = self._find(path)
        *parents, part = path
        container = self._container((*parents,))
        if found is None:
            raise _NotUnderstood
        if not _is_block(container.node):
            data = yaml_files.loads(self.text).data
            rest = copy.deepcopy(_at(data, (*parents,)))
            del rest[part]
            return self._replace_flow(container, rest)
        if len(container.node.value) == 1:
            empty = [] if isinstance(container.node, SequenceNode) else {}
            return self._replace_block(container, empty)
        return self._cut(found, container.node, part)

    def _cut(self, found: _Found, container: Any, part: str | int) -> str:
        """Remove the lines of a key or an item; a key beside a dash gives its place to the next key."""
        start = found.key if found.key is not None else found.node
        first = start.start_mark.line
        if found.key is None:
            first = _line_of_dash(self.lines, found.node)
        elif self.lines[first][: start.start_mark.column].strip():
            keys = [key for key, _ in container.value]
            position = [key.value for key in keys].index(part)
            if position + 1 == len(keys):
                raise _NotUnderstood
            following = keys[position + 1].start_mark.index
            between = self.text[start.start_mark.index : following].split("\n")
            indent = " " * _column_of_dash(self.lines[first])
            comments = [f"{indent}{line.strip()}\n" for line in between if line.strip().startswith("#")]
            dash = self.lines[first][: start.start_mark.column]
            return "".join([*self.lines[:first], *comments, dash]) + self.text[following:]
        last = self._last_line(found.node, start.start_mark.line)
        return "".join([*self.lines[:first], *self.lines[last + 1 :]])

    def _container(self, path: PathOf) -> _Found:
        found = self._find(path) if path else _Found(self.root)
        if found is None:
            raise _NotUnderstood
        return found

    def _add_key(self, container: _Found, path: PathOf, value: Any) -> str:
        node, key = container.node, path[-1]
        if not isinstance(node, MappingNode) or not isinstance(key, str):
            raise _NotUnderstood
        if not _is_block(node) or not node.value:
            data = _at(yaml_files.loads(self.text).data, path[:-1])
            return self._replace_flow(container, {**data, key: value})
        return self._insert_after(
            self._last_line(node), _block({key: value}, node.value[0][0].start_mark.column)
        )

    def _replace_flow(self, found: _Found, value: Any) -> str:
        """Write a flow collection anew. One that becomes too long for a line becomes a block."""
        node, text = found.node, _flow(value)
        is_long = node.start_mark.column + len(text) > 118
        if found.key is not None and not found.in_flow and is_long and value:
            column = found.key.start_mark.column + 2
            end = self._rest_of_line(node.end_mark.index)
            head = self.text[: node.start_mark.index].rstrip(" ")
            return f"{head}{end}\n{_block(value, column)}{self.text[self._next_line(node.end_mark.index) :]}"
        return self._splice(node.start_mark.index, node.end_mark.index, text)

    def _replace_block(self, found: _Found, value: Any) -> str:
        """Write a block value anew, below or beside its key."""
        if found.key is None:
            first, last = _line_of_dash(self.lines, found.node), self._last_line(found.node)
            item = _block([value], _column_of_dash(self.lines[first]))
            return "".join([*self.lines[:first], item, *self.lines[last + 1 :]])
        first, last = found.key.end_mark.line, self._last_line(found.node)
        colon = self.text.index(":", found.key.end_mark.index) + 1
        rest = self.lines[first][colon - self._start_of(first) :].rstrip("\n")
        comment = re.search(r"\s#.*$", rest)
        head = self.text[:colon]
        tail = comment[0] if comment else ""
        if isinstance(value, (dict, list)) and value:
            body = _block(value, found.key.start_mark.column + 2)
            return f"{head}{tail}\n{body}{''.join(self.lines[last + 1 :])}"
        # What becomes empty keeps the comments that were in it.
        inside = [line for line in self.lines[first + 1 : last + 1] if line.strip().startswith("#")]
        kept = "".join(inside if value in ([], {}) else [])
        return f"{head} {_flow(value)}{tail}\n{kept}{''.join(self.lines[last + 1 :])}"

    def _splice(self, start: int, end: int, new: str) -> str:
        if start == end:  # an empty value: `key:`
            new = f" {new}" if self.text[start - 1 : start] in (":", "-") else new
        return self.text[:start] + new + self.text[end:]

    def _last_line(self, node: Any, default: int = 0) -> int:
        """The last line that belongs to a value, from 0; comments and blank lines below it do not."""
        if _is_block(node) and node.value:
            last = node.value[-1]
            if isinstance(node, MappingNode):
                return self._last_line(last[1], last[0].end_mark.line)
            return self._last_line(last)
        if isinstance(node, ScalarNode) and node.style in ("|", ">"):
            return self._last_line_of_text(node.start_mark.line)
        if node.start_mark.index == node.end_mark.index:
            return max(node.start_mark.line if node.start_mark.column else 0, default)
        return int(node.end_mark.line)

    def _last_line_of_text(self, header: int) -> int:
        """The last line of a literal or folded text, whose header (`|` or `>`) is on a line."""
        last, indent = header, 0
        for number in range(header + 1, len(self.lines)):
            line = self.lines[number]
            if not line.strip():
                continue
            column = len(line) - len(line.lstrip(" "))
            indent = indent or column
            if column < indent or not indent:
                break
            last = number
        return last

    def _insert_after(self, line: int, block: str) -> str:
        return "".join([*self.lines[: line + 1], block, *self.lines[line + 1 :]])

    def _start_of(self, line: int) -> int:
        return sum(map(len, self.lines[:line]))

    def _next_line(self, index: int) -> int:
        return self.text.index("\n", index) + 1

    def _rest_of_line(self, index: int) -> str:
        return self.text[index : self.text.index("\n", index)]

    def _find(self, path: PathOf) -> _Found | None:
        found = _Found(self.root)
        for part in path:
            node = found.node
            if isinstance(node, MappingNode) and isinstance(part, str):
                pairs = [(key, value) for key, value in node.value if key.value == part]
                if not pairs:
                    return None
                found = _Found(pairs[0][1], pairs[0][0], bool(node.flow_style))
            elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
                found = _Found(node.value[part], in_flow=bool(node.flow_style))
            else:
                raise _NotUnderstood
        return found


def _lines(text: str) -> list[str]:
    """The lines of a text that ends with a line's end. Only YAML's ends of lines count: others stand in values."""
    return [f"{line}\n" for line in text.removesuffix("\n").split("\n")]


def _is_block(node: Any) -> bool:
    return isinstance(node, (MappingNode, SequenceNode)) and not node.flow_style


def _line_of_dash(lines: list[str], node: Any) -> int:
    """The line with the dash of an item, from 0."""
    line = node.start_mark.line
    while not lines[line].lstrip().startswith("-"):
        line -= 1
    return line


def _dash_column(lines: list[str], node: Any) -> int:
    return _column_of_dash(lines[_line_of_dash(lines, node.value[0])])


def _column_of_dash(line: str) -> int:
    return len(line) - len(line.lstrip())


def _writer(*, flow: bool) -> YAML:
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = flow
    vars(writer)["sort_base_mapping_type_on_output"] = False
    writer.allow_unicode = True
    writer.width = _WIDE
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.representer.ignore_aliases = lambda _data: True
    return writer


def _flow(value: Any) -> str:
    """A value on one line, as it may stand in a block and in brackets."""
    body = io.StringIO()
    # In a mapping, because a list writes a mapping of one key without its braces.
    _writer(flow=True).dump({"k": value}, body)
    return body.getvalue().strip(" \n").removeprefix("{k:").removesuffix("}").strip(" ")


def _block(value: Any, column: int) -> str:
    """A mapping or a list as lines, its keys or dashes at a column. Short lists of values stay on one line."""
    indent = " " * column
    if isinstance(value, list):
        lines = [line for item in value for line in _item_lines(item)]
    else:
        lines = [line for key, inner in value.items() for line in _key_lines(key, inner)]
    return "".join(f"{indent}{line}".rstrip(" ") + "\n" for line in lines)


def _key_lines(key: str, value: Any) -> list[str]:
    is_short = not isinstance(value, (dict, list)) or not value or _holds_scalars(value)
    if is_short:
        return [f"{_flow(key)}: {_flow(value)}"]
    return [f"{_flow(key)}:", *(f"  {line}" for line in _block(value, 0).removesuffix("\n").split("\n"))]


def _item_lines(item: Any) -> list[str]:
    if not isinstance(item, dict) or not item:
        return [f"- {_flow(item)}"]
    first, *rest = _block(item, 0).removesuffix("\n").split("\n")
    return [f"- {first}", *(f"  {line}" for line in rest)]


def _holds_scalars(value: Any) -> bool:
    values = value.values() if isinstance(value, dict) else value
    return not any(isinstance(inner, (dict, list)) for inner in values) and len(_flow(value)) < 80
