"""Fields that several kinds of requests share, their bounds, and the error messages for invalid fields.

The types are pydantic's TypedDicts. A validated request is the plain dictionary of the caller, without conversions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from edge import strict_json
from edge.openai_api import Refusal, bad_request

STRICT = ConfigDict(extra="forbid", strict=True)
"""Unknown fields are refused, and no value is converted: "5" is not 5, and true is not 1."""
MOST_TOKENS = 10_000_000
MOST_ANSWERS = 128
"""Maximum number of answers to one request (`n`), the same as OpenAI's."""
_INT64 = 2**63

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Model = Annotated[str, Field(max_length=253)]
Number = int | float
"""A number is kept in its original form, 1 or 1.0. Every field has bounds, which exclude infinite numbers."""
Tokens = Annotated[int, Field(ge=0, le=MOST_TOKENS)]
Answers = Annotated[int, Field(ge=1, le=MOST_ANSWERS)]
Penalty = Annotated[Number, Field(ge=-2, le=2)]
Share = Annotated[Number, Field(ge=0, le=1)]
Stop = Text | Annotated[list[Text], Field(max_length=64)]
TokenId = Annotated[int, Field(ge=0, lt=10_000_000)]
LogitBias = Annotated[
    dict[Annotated[str, Field(pattern=r"^[0-9]{1,7}$")], Annotated[Number, Field(ge=-100, le=100)]],
    Field(max_length=1024),
]
"""Keys are token ids. Any other key would be text that is not screened."""


@with_config(STRICT)
class StreamOptions(TypedDict, total=False):
    """Options of a stream. `include_obfuscation` is accepted without effect."""

    include_usage: bool | None
    include_obfuscation: bool | None


@with_config(STRICT)
class Sampling(TypedDict, total=False):
    """Sampling fields of chat and completions."""

    stream: bool | None
    stream_options: StreamOptions | None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None
    top_p: Share | None
    n: Answers | None
    stop: Stop | None
    max_tokens: Tokens | None
    presence_penalty: Penalty | None
    frequency_penalty: Penalty | None
    logit_bias: LogitBias | None
    seed: Annotated[int, Field(ge=-_INT64, lt=_INT64)] | None
    user: Annotated[str, Field(max_length=512)] | None


@with_config(STRICT)
class Harmless(TypedDict, total=False):
    """OpenAI fields that clients send automatically and that have no effect here. They are accepted and dropped."""

    metadata: Any
    modalities: list[Literal["text"]] | None
    prediction: Any
    prompt_cache_key: Any
    prompt_cache_options: Any
    prompt_cache_retention: Any
    safety_identifier: Any
    service_tier: Any
    store: Any
    verbosity: Any
    # Only null is accepted, because any value would request an unsupported feature.
    audio: None
    function_call: None
    functions: None
    moderation: None
    web_search_options: None


@with_config(STRICT)
class StructuredOutputs(TypedDict, total=False):
    """vLLM's `structured_outputs`, without structural tags."""

    json: dict[str, Any] | str | None
    regex: Text | None
    choice: Annotated[list[Text], Field(min_length=1, max_length=1024)] | None
    grammar: Text | None
    json_object: bool | None
    disable_any_whitespace: bool | None
    disable_additional_properties: bool | None
    whitespace_pattern: str | None


@with_config(STRICT)
class VllmFields(TypedDict, total=False):
    """Sampling fields of vLLM 0.33. They are sent only to places that accept them (`routes[].vllm_fields`)."""

    allowed_token_ids: Annotated[list[TokenId], Field(max_length=4096)] | None
    bad_words: Annotated[list[Text], Field(max_length=256)] | None
    ignore_eos: bool | None
    include_reasoning: bool | None
    include_stop_str_in_output: bool | None
    min_p: Share | None
    min_tokens: Tokens | None
    repetition_penalty: Annotated[Number, Field(gt=0, le=10)] | None
    skip_special_tokens: bool | None
    spaces_between_special_tokens: bool | None
    stop_token_ids: Annotated[list[TokenId], Field(max_length=256)] | None
    structured_outputs: StructuredOutputs | None
    thinking_token_budget: Annotated[int, Field(ge=-1, le=MOST_TOKENS)] | None
    top_k: Annotated[int, Field(ge=-1, le=10_000_000)] | None
    truncate_prompt_tokens: Annotated[int, Field(ge=-1, le=MOST_TOKENS)] | None


HARMLESS = frozenset(Harmless.__annotations__)
VLLM_FIELDS = frozenset([*VllmFields.__annotations__, "chat_template_kwargs"])


def parsed(
    adapter: TypeAdapter[Any], body: dict[str, Any], hints: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The request without null fields. Raises Refusal 400.

    `hints`: a sentence about a field that an error names, without its full stop.
    """
    try:
        request = adapter.validate_python(body)
    except ValidationError as error:
        raise _refusal(error, body, _HINTS if hints is None else hints) from None
    return {name: value for name, value in request.items() if value is not None}


def validated(adapter: TypeAdapter[Any], body: dict[str, Any]) -> dict[str, Any]:
    """The request without null fields and harmless fields. Raises Refusal 400."""
    fields = {name: value for name, value in parsed(adapter, body).items() if name not in HARMLESS}
    if "stream_options" in fields and not fields.get("stream"):
        raise bad_request("invalid_stream_options", "The field 'stream_options' needs 'stream': true.")
    for place, schema in _schemas(fields):
        _refuse_foreign_references(place, schema)
    return fields


def _schemas(fields: Mapping[str, Any]) -> Iterator[tuple[list[str | int], Any]]:
    """Every JSON Schema in a request, with its path. Raises Refusal 400 for text that is not JSON."""
    for number, tool in enumerate(fields.get("tools", ())):
        yield ["tools", number, "function", "parameters"], tool["function"].get("parameters")
    described = fields.get("response_format", {}).get("json_schema") or {}
    yield ["response_format", "json_schema", "schema"], described.get("schema")
    schema = fields.get("structured_outputs", {}).get("json")
    if isinstance(schema, str):
        try:
            schema = strict_json.parse(schema.encode())
        except ValueError:  # not strict, or half of a surrogate pair
            raise bad_request(
                "invalid_structured_outputs",
                "The field 'structured_outputs.json' is a text that is not strict JSON (no duplicate keys)."
                " Send the schema as a JSON object.",
            ) from None
    yield ["structured_outputs", "json"], schema


_REFERENCES = frozenset(("$ref", "$dynamicRef", "$recursiveRef"))
SCHEMAS_BY_NAME = frozenset(
    (
        "properties",
        "patternProperties",
        "$defs",
        "definitions",
        "dependentSchemas",
        "dependentRequired",
        "dependencies",
    )
)
"""Keywords of JSON Schema whose value is an object with names that the author of the schema chose."""
SCHEMA_DATA = frozenset(("default", "const", "enum", "example", "examples"))
"""Keywords of JSON Schema whose value can be any JSON."""


def _refuse_foreign_references(path: list[str | int], schema: Any) -> None:
    """Raise Refusal 400 if a JSON Schema refers to a document that a model server would have to fetch."""
    if isinstance(schema, list):
        for number, part in enumerate(schema):
            _refuse_foreign_references([*path, number], part)
        return
    if not isinstance(schema, dict):
        return
    for keyword, part in schema.items():
        place = [*path, keyword]
        if keyword in _REFERENCES and isinstance(part, str) and not part.startswith("#"):
            raise bad_request(
                f"invalid_{path[0]}",
                f"The field {_written(place)!r} refers to another document. A reference must begin with '#': a model"
                " server that fetches documents would be a way out of the site. Put the schema that it names"
                " under '$defs' and refer to it as '#/$defs/NAME'.",
            )
        if keyword in SCHEMAS_BY_NAME and isinstance(part, dict):
            for name, inner in part.items():
                _refuse_foreign_references([*place, name], inner)
        elif keyword not in SCHEMA_DATA:
            _refuse_foreign_references(place, part)


def vllm_fields(request: Mapping[str, Any]) -> list[str]:
    """The fields of a request that only vLLM supports."""
    return sorted(VLLM_FIELDS & request.keys())


_UNKNOWN = ("extra_forbidden", "none_required")
_REASONS = {
    "extra_forbidden": "is not accepted",
    "none_required": "is not accepted",
    "missing": "is required",
    "union_tag_not_found": "needs a known 'type'",
    "union_tag_invalid": "has a 'type' that is not accepted",
}


def _refusal(error: ValidationError, body: dict[str, Any], hints: Mapping[str, str]) -> Refusal:
    """The error for the caller, which names the first invalid field. It does not quote the value, because clients
    log errors.
    """
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    # pydantic reports an error for each member of a union. The one with the longest path is the most precise.
    first = max(
        reversed(errors), key=lambda fault: (fault["type"] == "extra_forbidden", len(_path(fault, body)))
    )
    path, kind = _path(first, body), first["type"]
    reason = _REASONS.get(kind) or _sentence(first["msg"])
    return bad_request(_code(path, kind), f"The field {_written(path)!r} {reason}.{_hint(path, hints)}")


def _written(path: list[str | int]) -> str:
    """A path in the usual notation, `messages[0].content`, of limited length."""
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:80]}" for part in path)
    return place.removeprefix(".")[:400]


def _sentence(message: str) -> str:
    """The predicate of pydantic's message "Input should be a valid dictionary", in JSON's terms."""
    text = re.sub(r"^.*?\bshould ", "must ", message).replace("dictionary", "object").replace("None", "null")
    return text.replace(" after validation, not 0", "")


def _path(error: Any, body: Any) -> list[str | int]:
    """The path of an error in the request. pydantic's own path also contains names of union members, which are
    removed.
    """
    path: list[str | int] = []
    value = body
    for part in error["loc"]:
        within = isinstance(part, int) and part < len(value) if isinstance(value, list) else False
        if within or (isinstance(value, dict) and part in value):
            path.append(part)
            value = value[part]
    return [*path, error["loc"][-1]] if error["type"] == "missing" else path


_OWN_CODES = frozenset(["tools", "tool_choice", "response_format"])
"""Fields with an error code of their own, also for unknown fields inside them."""


def _code(path: list[str | int], kind: str) -> str:
    field = path[0] if path else "request"
    if field == "messages" and "content" in path[2:3] and len(path) > 3:
        return "invalid_content"
    if field == "messages" and "tool_calls" in path[2:3]:
        return "invalid_messages"
    if kind in _UNKNOWN and field not in _OWN_CODES:
        return "unknown_field"
    return f"invalid_{field}" if isinstance(field, str) and field.isidentifier() else "invalid_request"


_HINTS = {
    "content": (
        "Content is text, and parts of type text or image_url with a data: URL: a model server that fetches"
        " addresses would be a way out of the site"
    ),
    "stop": "It is text or a list of texts",
    "tools": "A tool is {'type': 'function', 'function': {'name', 'description', 'parameters', 'strict'}}",
    "tool_choice": "It is none, auto, required, or a function by its name",
    "response_format": "It is of type text, json_object or json_schema",
    "stream_options": "It takes 'include_usage' only",
    "prompt": "It is text, tokens, or a list of either",
    "input": "It is text, tokens, or a list of either",
    "documents": "It is a list of texts",
}


def _hint(path: list[str | int], hints: Mapping[str, str]) -> str:
    field = path[2] if len(path) > 2 and path[0] == "messages" else path[0] if path else ""
    hint = hints.get(str(field))
    return f" {hint}." if hint else ""
