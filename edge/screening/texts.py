"""Lists every text of a request or an answer in a fixed order, and puts screened texts back in their places.

A field is recognised by its place in the OpenAI protocol, not by its name alone: a property that a schema calls
`format`, or an example under `type`, is data.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any, Literal

from edge.answer_models import CONFIDENCE
from edge.request_fields import SCHEMA_DATA, SCHEMAS_BY_NAME
from edge.strict_json import MAX_DEPTH

Kind = Literal["text", "code", "name", "fixed"]
"""`text`: prose in some language. `code`: text without a language, such as a regular expression or a number.
`name`: code that other fields refer to (a function, a property, a call id). `fixed`: a value without replacement."""
Put = Callable[[str, Kind], str]
"""Called with each text and its kind; returns the text that replaces it."""
_LONG_NUMBER = 6
"""Digits. Shorter numbers identify nobody."""
_DECIMALS, _DECIMALS_OF_BIAS = 4, 3
"""Decimals kept of sampling numbers, so that all their digits stay below `_LONG_NUMBER`."""
_MAX_NESTED = 8
"""Levels of JSON within JSON strings that are parsed."""
_ESCAPE = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")


def request_texts(request: Mapping[str, Any]) -> list[tuple[str, Kind]]:
    """All texts of a request, in order."""
    return _collect_texts(lambda put: walk_request(request, put))


def adjacent_texts(request: Mapping[str, Any]) -> list[list[int]]:
    """Runs of positions in `request_texts` whose texts a model reads one after the other.

    These are the content parts of a message, and of the next messages of the same role. Runs of one text are left out.
    """
    if not _has_neighbours(request.get("messages") or []):
        return []
    count = 0

    def put(text: str, kind: Kind) -> str:
        nonlocal count
        count += 1
        return text

    runs: list[list[int]] = []
    for field, value in request.items():
        if field != "messages":
            walk_request({field: value}, put)
            continue
        role = None
        for message in value:
            if message.get("role") != role:
                role = message.get("role")
                runs.append([])
            for name, part in message.items():
                begin = count
                _message({name: part}, put)
                if name == "content":
                    runs[-1].extend(range(begin, count))
    return [run for run in runs if len(run) > 1]


def _has_neighbours(messages: list[dict[str, Any]]) -> bool:
    """Whether two texts of messages can follow each other: content parts, or two messages of one role in turn."""
    has_parts = any(not isinstance(message.get("content"), str | None) for message in messages)
    roles = [message.get("role") for message in messages]
    return has_parts or any(role == following for role, following in pairwise(roles))


def answer_texts(choices: Any) -> list[str]:
    """All texts of an answer's choices, in order."""
    return [text for text, _ in _collect_texts(lambda put: walk_choices(choices, put))]


def replace_request(request: Mapping[str, Any], texts: list[str]) -> dict[str, Any]:
    """The request, with these texts in place of those that `request_texts` gave."""
    following = iter(texts)
    return walk_request(request, lambda _text, _kind: next(following))


def replace_answer(choices: Any, texts: list[str]) -> Any:
    """The choices, with these texts in place of those that `answer_texts` gave."""
    following = iter(texts)
    return walk_choices(choices, lambda _text, _kind: next(following))


def _collect_texts(walk: Callable[[Put], Any]) -> list[tuple[str, Kind]]:
    texts: list[tuple[str, Kind]] = []

    def put(text: str, kind: Kind) -> str:
        texts.append((text, kind))
        return text

    walk(put)
    return texts


def walk_request(request: Mapping[str, Any], put: Put) -> dict[str, Any]:
    """A copy of the request in which `put` has replaced each text."""
    return {
        field: _FIELDS[field](value, put) if field in _FIELDS else _plain(value, put)
        for field, value in request.items()
    }


def walk_choices(choices: list[dict[str, Any]], put: Put) -> list[dict[str, Any]]:
    """A copy of an answer's choices in which `put` has replaced each text, but no log-probabilities or field scores."""
    return [_choice(choice, put) for choice in choices]


def walk_arguments(text: str, put: Put, nested: int = 0) -> str:
    """Put the strings, keys and long numbers of JSON in a text, duplicate keys too; put other text whole.

    The text stays byte for byte as it is unless `put` changes something.
    """
    try:
        value = _READ.decode(text)
        rewritten = _written(value, put, nested)
    except (ValueError, RecursionError):
        return _decoded(text, put)
    if rewritten is None:
        return _decoded(text, put)
    return text if rewritten == _written(value, _keep_text, nested) else rewritten


def without_fields(choice: dict[str, Any]) -> dict[str, Any]:
    """The choice without field scores, because names of fields are text of the model."""
    if not isinstance(confidence := choice.get(CONFIDENCE), dict):
        return choice
    return {**choice, CONFIDENCE: {name: value for name, value in confidence.items() if name != "fields"}}


def find_unreadable(request: Mapping[str, Any]) -> str | None:
    """The content that no detector can read: `images`, or `tokens` instead of text. None: there is none."""
    if any(_is_tokens(request.get(field)) for field in ("prompt", "input")):
        return "tokens"
    for message in request.get("messages", ()):
        content = message.get("content")
        if isinstance(content, list) and any(part.get("type") != "text" for part in content):
            return "images"
    return None


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and any(
        isinstance(element, int) or _is_tokens(element) for element in value
    )


# Requests


def _message(message: dict[str, Any], put: Put) -> dict[str, Any]:
    return {
        field: _MESSAGE_FIELDS[field](value, put) if field in _MESSAGE_FIELDS else value
        for field, value in message.items()
    }


def _content(content: Any, put: Put) -> Any:
    if not isinstance(content, list):
        return _plain(content, put)
    return [
        {**part, "text": _plain(part["text"], put)} if part.get("type") == "text" else part
        for part in content
    ]


def _call(call: dict[str, Any], put: Put) -> dict[str, Any]:
    copy = dict(call)
    if isinstance(call.get("id"), str):
        copy["id"] = put(call["id"], "name")
    if isinstance(function := call.get("function"), dict):
        copy["function"] = dict(function)
        if isinstance(name := function.get("name"), str) and name:
            copy["function"]["name"] = put(name, "name")
        if isinstance(arguments := function.get("arguments"), str):
            copy["function"]["arguments"] = walk_arguments(arguments, put)
    return copy


def _tool(tool: dict[str, Any], put: Put) -> dict[str, Any]:
    return {**tool, "function": _described(tool["function"], put)}


def _described(described: dict[str, Any], put: Put) -> dict[str, Any]:
    """A function, or the schema of an answer, with its name and its description."""
    return {
        field: _FUNCTION_FIELDS[field](value, put) if field in _FUNCTION_FIELDS else value
        for field, value in described.items()
    }


def _tool_choice(choice: Any, put: Put) -> Any:
    if not isinstance(choice, dict):
        return choice
    return {**choice, "function": {"name": put(choice["function"]["name"], "name")}}


def _response_format(response_format: dict[str, Any], put: Put) -> dict[str, Any]:
    schema = response_format.get("json_schema")
    return (
        {**response_format, "json_schema": _described(schema, put)}
        if isinstance(schema, dict)
        else response_format
    )


def _structured_outputs(outputs: dict[str, Any], put: Put) -> dict[str, Any]:
    copy = dict(outputs)
    for field in ("regex", "grammar", "whitespace_pattern"):
        if isinstance(text := outputs.get(field), str):
            copy[field] = put(text, "code")
    if isinstance(outputs.get("choice"), list):
        copy["choice"] = _plain(outputs["choice"], put)
    schema = outputs.get("json")
    if isinstance(schema, dict):
        copy["json"] = _schema(schema, put)
    elif isinstance(schema, str):
        copy["json"] = walk_arguments(schema, put)
    return copy


def _seed(seed: Any, put: Put) -> Any:
    if isinstance(seed, int) and len(str(abs(seed))) >= _LONG_NUMBER:
        put(str(abs(seed)), "fixed")
    return seed


def _sampling(value: Any, put: Put) -> Any:
    return _rounded(value, _DECIMALS)


def _logit_bias(biases: dict[str, Any], put: Put) -> dict[str, Any]:
    return {token: _rounded(bias, _DECIMALS_OF_BIAS) for token, bias in biases.items()}


def _rounded(value: Any, decimals: int) -> Any:
    """The number without decimals that could hold an identifier. A number other than 0 never becomes 0."""
    if not isinstance(value, float):
        return value
    rounded = round(value, decimals)
    return rounded if rounded or not value else math.copysign(10**-decimals, value)


def _unchanged(value: Any, put: Put) -> Any:
    """For words of the protocol and numbers whose bounds exclude identifiers (`edge.request_fields`)."""
    return value


_FIELDS: dict[str, Callable[[Any, Put], Any]] = {
    "messages": lambda messages, put: [_message(message, put) for message in messages],
    "tools": lambda tools, put: [_tool(tool, put) for tool in tools],
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "structured_outputs": _structured_outputs,
    "seed": _seed,
    "logit_bias": _logit_bias,
    **dict.fromkeys(
        (
            "temperature",
            "top_p",
            "min_p",
            "presence_penalty",
            "frequency_penalty",
            "repetition_penalty",
        ),
        _sampling,
    ),
    **dict.fromkeys(("model", "reasoning_effort", "encoding_format", "chat_template_kwargs"), _unchanged),
}
"""How request fields are walked. All other fields are texts or lists of texts."""


# JSON Schema

_SCHEMA_WORDS = """
    $anchor $comment $defs $dynamicAnchor $dynamicRef $id $ref $schema $vocabulary additionalItems additionalProperties
    allOf anyOf const contains contentEncoding contentMediaType contentSchema default definitions dependencies
    dependentRequired dependentSchemas deprecated description discriminator else enum enumDescriptions example examples
    exclusiveMaximum exclusiveMinimum format if items maxContains maxItems maxLength maxProperties maximum minContains
    minItems minLength minProperties minimum multipleOf not nullable oneOf pattern patternProperties prefixItems
    properties propertyNames propertyOrdering readOnly required strict then title type unevaluatedItems
    unevaluatedProperties uniqueItems writeOnly
"""
_KEYWORDS = frozenset(_SCHEMA_WORDS.split())
_PROSE = frozenset(("description", "title", "$comment", "enumDescriptions"))
_KNOWN_VALUES = """
    array boolean integer null number object string
    date date-time duration email hostname idn-email idn-hostname int32 int64 ipv4 ipv6 iri iri-reference
    json-pointer regex relative-json-pointer time uri uri-reference uri-template uuid float double byte binary
    http://json-schema.org/draft-07/schema# https://json-schema.org/draft/2020-12/schema
"""
_WORDS = frozenset(_KNOWN_VALUES.split())
"""Values of `type`, `format` and `$schema` that cannot identify anybody."""


def _schema(value: Any, put: Put, field: str = "") -> Any:
    """A JSON Schema at any depth: keywords stay; names, numbers and texts are put."""
    if isinstance(value, dict):
        return {
            (key if key in _KEYWORDS else put(key, "name")): _within(key, part, put)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_schema(part, put, field) for part in value]
    if isinstance(value, str):
        if value in _WORDS:
            return value
        if field in _PROSE:
            return _plain(value, put)
        return put(value, "code" if field == "pattern" else "name")
    return _number(value, put)


def _within(key: str, part: Any, put: Put) -> Any:
    if key in SCHEMA_DATA:
        return _data(part, put)
    if key in SCHEMAS_BY_NAME and isinstance(part, dict):
        return {put(name, "name"): _schema(inner, put) for name, inner in part.items()}
    return _schema(part, put, key)


def _data(value: Any, put: Put) -> Any:
    """Any JSON: its strings, keys and long numbers."""
    if isinstance(value, str):
        return walk_arguments(value, put) if value[:1] in ("{", "[") else _plain(value, put)
    if isinstance(value, list):
        return [_data(part, put) for part in value]
    if isinstance(value, dict):
        return {put(key, "name"): _data(part, put) for key, part in value.items()}
    return _number(value, put)


# Answers


def _choice(choice: dict[str, Any], put: Put) -> dict[str, Any]:
    copy = dict(choice)
    for field in ("message", "delta"):
        if isinstance(spoken := choice.get(field), dict):
            copy[field] = _spoken(spoken, put)
    if isinstance(text := choice.get("text"), str):
        copy["text"] = _plain(text, put)
    return copy


MESSAGE_TEXTS = ("content", "refusal", "reasoning_content", "reasoning")
"""The texts of a choice's message."""


def _spoken(spoken: dict[str, Any], put: Put) -> dict[str, Any]:
    copy = dict(spoken)
    for field in MESSAGE_TEXTS:
        if isinstance(text := spoken.get(field), str):
            copy[field] = _plain(text, put)
    if isinstance(calls := spoken.get("tool_calls"), list):
        copy["tool_calls"] = [_call(call, put) for call in calls]
    return copy


# Texts and numbers


def _plain(value: Any, put: Put) -> Any:
    if isinstance(value, str):
        return _decoded(value, put)
    if isinstance(value, list):
        return [_plain(part, put) for part in value]
    return value


def _name(value: Any, put: Put) -> Any:
    return put(value, "name") if isinstance(value, str) else value


def _decoded(text: str, put: Put) -> str:
    r"""A text, screened as its reader would read it: with the letters in place of JSON's `\u` escapes."""
    plain = _ESCAPE.sub(_letters, text) if "\\u" in text else text
    replaced = put(plain, "text")
    return text if replaced == plain else replaced


def _letters(match: re.Match[str]) -> str:
    units = bytes.fromhex(match.group().replace("\\u", ""))
    return units.decode("utf-16-be", "replace")


def _number(value: Any, put: Put) -> Any:
    """The number, or a text if `put` replaces its digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    digits = _digits(repr(value))
    if len(digits) < _LONG_NUMBER:
        return value
    replaced = put(digits, "code")
    return value if replaced == digits else replaced


def _digits(written: str) -> str:
    """A number as people write it: 4111111111111111 for 4.111111111111111e15 and for 4111111111111111.0."""
    try:
        number = Decimal(written)
        if abs(number.adjusted()) > 40:
            return written
        plain = f"{number:f}"
    except InvalidOperation:
        return written
    return plain.rstrip("0").removesuffix(".") if "." in plain else plain


_MESSAGE_FIELDS: dict[str, Callable[[Any, Put], Any]] = {
    "content": _content,
    "refusal": _plain,
    "name": _name,
    "tool_call_id": _name,
    "tool_calls": lambda calls, put: [_call(call, put) for call in calls],
}
_FUNCTION_FIELDS: dict[str, Callable[[Any, Put], Any]] = {
    "name": _name,
    "description": _plain,
    "parameters": _schema,
    "schema": _schema,
}


class _Written(str):
    """A number in its original spelling."""


class _Pairs(list[tuple[str, Any]]):
    """A JSON object that keeps all values of duplicate keys."""


_READ = json.JSONDecoder(
    object_pairs_hook=_Pairs, parse_int=_Written, parse_float=_Written, parse_constant=_Written
)


def _keep_text(text: str, kind: Kind) -> str:
    return text


def _written(value: Any, put: Put, nested: int, depth: int = 0) -> str | None:
    """The value as JSON with replaced texts. None if it is neither an object nor a list."""
    if not depth and not isinstance(value, list):
        return None
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, _Pairs):
        pairs = (
            f"{json.dumps(put(key, 'name'), ensure_ascii=False)}: {_written(part, put, nested, depth + 1)}"
            for key, part in value
        )
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(str(_written(part, put, nested, depth + 1)) for part in value) + "]"
    if isinstance(value, _Written):
        digits = _digits(value)
        replaced = put(digits, "code") if len(digits) >= _LONG_NUMBER else digits
        return str(value) if replaced == digits else json.dumps(replaced, ensure_ascii=False)
    if isinstance(value, str):
        inner = nested < _MAX_NESTED and value.lstrip()[:1] in ("{", "[")
        text = walk_arguments(value, put, nested + 1) if inner else _decoded(value, put)
        return json.dumps(text, ensure_ascii=False)
    return json.dumps(value)


__all__ = [
    "MESSAGE_TEXTS",
    "Kind",
    "Put",
    "adjacent_texts",
    "answer_texts",
    "find_unreadable",
    "replace_answer",
    "replace_request",
    "request_texts",
    "walk_arguments",
    "walk_choices",
    "without_fields",
]
