"""The cases of the matrix: each failure, and the correct answer to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.edge import asking
from tests.edge.conftest import gateway_config
from tests.edge.matrix import limits, screening
from tests.edge.matrix.answers import Answer, ask, chat
from tests.edge.matrix.lanes import CLASSES, EMBEDDINGS_PATH, KINDS, Lane, MatrixSetup, keys
from tests.edge.processes import Edge, free_port

NOBODY, OWN, CLOUD = "nobody", "its class's model", "the cloud"
REDACTED = "its class's model, redacted"
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
FALLBACKS = ("fallbacks", "api_base", "base_url", "extra_body")
Tries = Callable[[Lane, MatrixSetup, str], Iterable[Answer]]


@dataclass(frozen=True)
class FailureCase:
    """One row of the matrix."""

    name: str
    tries: Tries
    """Sends the requests of the case through a lane, with a marker as the prompt."""
    right: str
    """The expected result of each answer."""
    reaches: str = NOBODY
    """The only place that the marker may reach."""
    but: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Classes with another expected result and another place."""
    on_disk: bool = False
    """The case needs an audit record on its own disk, which it fills."""
    beyond: bool = False
    """The case needs a class with a translator, or tests the refusal of one."""
    counted: bool = False
    """The case runs at the gateway with PostgreSQL."""
    screened: bool = False
    """The case runs at the gateway with a detector and guards."""
    slow: bool = False
    """The case waits until the gateway's cache expires. It runs only in `make soak`."""

    def expected(self, data_class: str) -> tuple[str, str]:
        return self.but.get(data_class, (self.right, self.reaches))


def _key(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    yield ask(lane, chat(lane, marker))


def _no_key(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    for key in (None, "unknown", lane.key().upper()):
        yield ask(lane, chat(lane, marker), key=key)


def _other_class(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    for data_class in CLASSES:
        if data_class != lane.data_class:
            yield from (ask(lane, chat(lane, marker), key=key) for key in keys(data_class).values())


def _revoked(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    with lane.without(lane.workload()):
        yield ask(lane, chat(lane, marker))


def _full_disk(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    with lane.full_disk():
        for _ in range(3):
            yield ask(lane, chat(lane, marker))
    lane.audited.seal_newcomer()


def _unsealed(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    with lane.unsealed():
        for _ in range(3):
            yield ask(lane, chat(lane, marker))


def _no_certificate(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    yield ask(lane, chat(lane, marker), client=lane.keyless)


def _models(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    other_models = [f"{class_}-{kind}" for class_ in CLASSES for kind in KINDS if class_ != lane.data_class]
    for model in (*asking.OTHER_MODELS, *other_models, lane.workload("cloud"), lane.workload("embed")):
        yield ask(lane, {**chat(lane, marker), "model": model})


def _fields(names: Iterable[str]) -> Tries:
    def tries(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
        for name in names:
            for value in ("cloud", [{"model": "internal-cloud"}]):
                yield ask(lane, {**chat(lane, marker), name: value})

    return tries


def _headers(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    yield ask(lane, chat(lane, marker), headers=asking.CLOUD_HEADERS)


def _at(kind: str, times: int = 1) -> Tries:
    def tries(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
        for stream in (False, True):
            yield from (ask(lane, chat(lane, marker, kind, stream=stream), kind=kind) for _ in range(times))

    return tries


def _behaving(*behaviours: str, **fields: Any) -> Tries:
    def tries(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
        for behaviour in behaviours:
            with lane.behaving(behaviour):
                yield ask(lane, chat(lane, marker, **fields))

    return tries


def _oversized(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    yield ask(lane, chat(lane, marker * (100_000 // len(marker))))


def _malformed(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    for body in (*asking.NOT_JSON, f'{{"model": "{marker}'.encode()):
        yield ask(lane, body)


def _leading_out(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    for url in ("https://evil.example/x.png", "http://169.254.169.254/"):
        image = {"type": "image_url", "image_url": {"url": url}}
        content = [{"type": "text", "text": marker}, image]
        yield ask(lane, chat(lane, marker, messages=[{"role": "user", "content": content}]))


def _foreign_tools(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    for tool in ({"type": "web_search"}, {"type": "mcp", "server_url": "https://evil.example"}):
        yield ask(lane, chat(lane, marker, tools=[tool]))


def _fields_sent(**fields: Any) -> Tries:
    def tries(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
        yield ask(lane, chat(lane, marker, **fields))

    return tries


def _embeddings(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    yield ask(lane, {"model": lane.workload("embed"), "input": marker}, kind="embed", path=EMBEDDINGS_PATH)


def _wrong_task(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    yield ask(lane, {"model": lane.workload(), "input": marker}, path=EMBEDDINGS_PATH)
    yield ask(lane, chat(lane, marker, "embed"), kind="embed")


def _other_paths(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    for path in ("/v1/responses", "/v1/load_lora_adapter", "/v1/chat/completions/", "/openai/v1/files", "/"):
        yield ask(lane, chat(lane, marker), path=path)


def _cloud(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """For a class without a translator: a file with a cloud route, with which the gateway must not start."""
    if lane.translated:
        yield ask(lane, chat(lane, marker, "cloud"), kind="cloud")
        return
    host = "bedrock-runtime.eu-central-1.amazonaws.com"
    yield _started(lane, {"url": f"https://{host}", "server_name": host}, "must stay on the site")


def _overflow_in_file(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    place = {"url": "https://127.0.0.1:8444", "server_name": "translator.svc", "model": "haiku"}
    yield _started(lane, {"overflow": place}, "must have no overflow")


def _started(lane: Lane, changes: dict[str, Any], refused: str) -> Answer:
    """The result of starting a real gateway of this class with a changed route."""
    config = gateway_config(lane.folder, free_port(), f"{lane.data_class}-gateway")
    config |= {"class": lane.data_class, "callers": str(lane.callers)}
    config["routes"] = [{**config["routes"][0], **changes}]
    gateway = Edge(lane.folder / f"{lane.data_class}-tried", config)
    try:
        gateway.wait_until_up()
    except AssertionError:
        output, right = gateway.output(), gateway.process.poll() == 2 and refused in gateway.output()
        return Answer("does not start" if right else f"wrong end: {output}", output)
    finally:
        gateway.stop()
    return Answer("starts")


def _cloud_down(kind: str) -> Tries:
    def tries(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
        setup.cloud.reset("status-503")
        try:
            yield ask(lane, chat(lane, marker, kind), kind=kind)
        finally:
            setup.cloud.behaviour = "ok"

    return tries


WAYS = (
    FailureCase("its own key", _key, "200 ok", OWN),
    FailureCase("no key, or an unknown one", _no_key, "401 invalid_api_key"),
    FailureCase("another class's key", _other_class, "401 invalid_api_key"),
    FailureCase("a revoked key", _revoked, "401 invalid_api_key"),
    FailureCase("no client certificate", _no_certificate, "no connection", but={"public": ("200 ok", OWN)}),
    FailureCase("a model name that asks for the cloud or another class", _models, "404 model_not_found"),
    FailureCase(
        "a tag or field that asks for the cloud", _fields(asking.UNKNOWN_FIELDS), "400 unknown_field"
    ),
    FailureCase("a fallback asked for by the client", _fields(FALLBACKS), "400 unknown_field"),
    FailureCase("a header that asks for the cloud", _headers, "200 ok", OWN),
    FailureCase("its endpoint down", _at("down"), "503 model_unavailable"),
    FailureCase("its endpoint and the canary down", _at("both-down", 2), "503 model_unavailable"),
    FailureCase("the endpoint says it is not there", _behaving("status-503"), "503 model_unavailable", OWN),
    FailureCase("the endpoint at its limit", _behaving("status-429"), "429 model_busy", OWN),
    FailureCase("the endpoint fails", _behaving("status-500", "html"), "502 bad_gateway", OWN),
    FailureCase("an oversized body", _oversized, "413 request_too_large"),
    FailureCase("a malformed body", _malformed, "400 malformed_json"),
    FailureCase("an image by address", _leading_out, "400 invalid_content"),
    FailureCase("a tool that the server would run", _foreign_tools, "400 invalid_tools"),
    FailureCase("a full audit disk", _full_disk, "503 audit_unwritable", on_disk=True),
    FailureCase("the sealer down", _unsealed, "503 audit_unregistered", on_disk=True),
    FailureCase("another route", _other_paths, "404 not_found"),
    FailureCase("a stream", _fields_sent(stream=True), "200 ok", OWN),
    FailureCase("a stream cut short", _behaving("cut", "no-done", stream=True), "200 stream_cut", OWN),
    FailureCase(
        "a stream with an error in it", _behaving("error-event", stream=True), "200 stream_failed", OWN
    ),
    FailureCase("a tool of the caller's own", _fields_sent(tools=[TOOL]), "200 ok", OWN),
    FailureCase("embeddings", _embeddings, "200 ok", OWN),
    FailureCase("the path of another task", _wrong_task, "404 wrong_task"),
    FailureCase(
        "a workload placed in the cloud",
        _cloud,
        "200 ok",
        CLOUD,
        but={"restricted": ("does not start", NOBODY)},
        beyond=True,
    ),
    FailureCase("its cloud down", _cloud_down("cloud"), "503 model_unavailable", CLOUD, beyond=True),
    FailureCase(
        "a file with an overflow", _overflow_in_file, "starts", but={"restricted": ("does not start", NOBODY)}
    ),
    FailureCase(
        "its endpoint down, with an overflow",
        _at("overflow"),
        "200 ok",
        CLOUD,
        but={"restricted": ("503 model_unavailable", NOBODY)},
        beyond=True,
    ),
    FailureCase(
        "its endpoint and its overflow down",
        _cloud_down("overflow"),
        "503 model_unavailable",
        CLOUD,
        but={"restricted": ("503 model_unavailable", NOBODY)},
        beyond=True,
    ),
    FailureCase("another class's key, of one database", limits.other_class, "403 wrong_class", counted=True),
    FailureCase("a revoked key, of a database", limits.revoked, "401 revoked_api_key", counted=True),
    FailureCase(
        "a key revoked a moment after its use",
        limits.revoked_after_use,
        "401 revoked_api_key",
        counted=True,
        slow=True,
    ),
    FailureCase("the callers' database down", limits.down, "503 callers_unreadable", counted=True),
    FailureCase(
        "the callers' database down a moment after the key's use",
        limits.down_after_use,
        "503 callers_unreadable",
        counted=True,
        slow=True,
    ),
    FailureCase("a rate used up", limits.rate, "429 rate_limited", counted=True),
    FailureCase("a budget used up", limits.budget, "402 budget_exhausted", counted=True),
    FailureCase(
        "a request that no minute has room for", limits.too_much, "400 request_over_limit", counted=True
    ),
    *(
        FailureCase(name, tries, right, reaches, screened=True, slow=name in screening.SLOW)
        for name, (tries, right, reaches) in screening.ROWS.items()
    ),
)
