"""The cases of the matrix: each failure, and the correct answer to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.edge import asking
from tests.edge.conftest import gateway_config
from tests.edge.matrix import batches, fallbacks, limits, replicas, rotation, screening
from tests.edge.matrix.answers import Answer, ask, asked_otherwise, chat
from tests.edge.matrix.lanes import (
    CLASSES,
    CLOUD,
    EMBEDDINGS_PATH,
    KINDS,
    NOBODY,
    OWN,
    GatewayKind,
    Lane,
    MatrixSetup,
    keys,
)
from tests.edge.processes import Edge, free_port

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
CLOUD_HOST = "bedrock-runtime.eu-central-1.amazonaws.com"
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
    gateway: GatewayKind = "plain"
    """The gateway at which the case runs."""
    slow: bool = False
    """The case waits for seconds, such as those for which the gateway caches a key. It runs only in `make soak`."""

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
            for kind in ("chat", "cloud"):
                yield ask(lane, chat(lane, marker), key=keys(data_class)[f"{data_class}-{kind}"])


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
    for path in (
        "/v1/moderations",
        "/v1/load_lora_adapter",
        "/v1/chat/completions/",
        "/openai/v1/files",
        "/",
    ):
        yield ask(lane, chat(lane, marker), path=path)


def _cloud(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """For a class without a translator: a file with a cloud route, with which the gateway must not start."""
    if lane.translated:
        yield ask(lane, chat(lane, marker, "cloud"), kind="cloud")
        return
    place = {"url": f"https://{CLOUD_HOST}", "server_name": CLOUD_HOST}
    yield _started(lane, place, "must stay on the site")


def _fallback_in_cloud(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
    """For a class without a translator: a file with such a fallback, with which the gateway must not start."""
    if lane.translated:
        yield from _at("fallback-cloud")(lane, setup, marker)
        return
    place = {"url": f"https://{CLOUD_HOST}", "server_name": CLOUD_HOST, "model": "haiku"}
    yield _started(lane, {"fallback": [place]}, "must stay on the site")


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


def _otherwise(
    kind: str = "chat", *, behaviour: str = "ok", key: str | None = "", streams: bool = True, **fields: Any
) -> Tries:
    """The same request at every interface beside chat, whole and as a stream."""

    def tries(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
        for stream in (False, True) if streams else (behaviour != "ok",):
            for path, body in asked_otherwise(lane, marker, kind, stream=stream, **fields):
                with lane.behaving(behaviour):
                    yield ask(lane, body, kind=kind, path=path, key=key)

    return tries


def _count(kind: str) -> Tries:
    def tries(lane: Lane, setup: MatrixSetup, marker: str) -> Iterator[Answer]:
        body = {"model": lane.workload(kind), "messages": [{"role": "user", "content": marker}]}
        yield ask(lane, body, kind=kind, path="/v1/messages/count_tokens")

    return tries


_FOREIGN_TOOLS = [{"type": "web_search_20250305", "name": "web_search"}]
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
    FailureCase("its own key, by other interfaces", _otherwise(), "200 ok", OWN),
    FailureCase("no key, by other interfaces", _otherwise(key=None), "401 invalid_api_key"),
    FailureCase(
        "a stream cut short, by other interfaces",
        _otherwise(behaviour="cut", streams=False),
        "200 stream_cut",
        OWN,
    ),
    FailureCase(
        "a tool that the provider would run, by other interfaces",
        _otherwise(tools=_FOREIGN_TOOLS),
        "400 unsupported_parameter",
    ),
    FailureCase("its endpoint down, by other interfaces", _otherwise("down"), "503 model_unavailable"),
    FailureCase(
        "its endpoint down, with an overflow, by other interfaces",
        _otherwise("overflow"),
        "200 ok",
        CLOUD,
        but={"restricted": ("503 model_unavailable", NOBODY)},
        beyond=True,
    ),
    FailureCase("a count of tokens", _count("chat"), "200 ok", OWN),
    FailureCase(
        "a count of tokens of a model in the cloud",
        _count("cloud"),
        "400 no_tokenizer",
        but={"restricted": ("404 model_not_found", NOBODY)},
        beyond=True,
    ),
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
    FailureCase(
        "another class's key, of one database", limits.other_class, "403 wrong_class", gateway="counted"
    ),
    FailureCase("a revoked key, of a database", limits.revoked, "401 revoked_api_key", gateway="counted"),
    FailureCase(
        "a key revoked a moment after its use",
        limits.revoked_after_use,
        "401 revoked_api_key",
        gateway="counted",
        slow=True,
    ),
    FailureCase("the callers' database down", limits.down, "503 callers_unreadable", gateway="counted"),
    FailureCase(
        "the callers' database down a moment after the key's use",
        limits.down_after_use,
        "503 stops_unreadable",
        gateway="counted",
        slow=True,
    ),
    FailureCase("a rate used up", limits.rate, "429 rate_limited", gateway="counted"),
    FailureCase("a budget used up", limits.budget, "402 budget_exhausted", gateway="counted"),
    FailureCase(
        "a request that no minute has room for", limits.too_much, "400 request_over_limit", gateway="counted"
    ),
    FailureCase(
        "a replica that dies before its answer begins",
        replicas.dies_before_its_answer,
        "200 ok",
        OWN,
        gateway="replicated",
    ),
    FailureCase(
        "a replica that dies within a whole answer",
        replicas.dies_within_a_whole_answer,
        "502 bad_gateway",
        OWN,
        gateway="replicated",
    ),
    FailureCase(
        "a replica that dies within a stream",
        replicas.dies_within_a_stream,
        "200 stream_cut",
        OWN,
        gateway="replicated",
    ),
    FailureCase(
        "a replica that reports false metrics", replicas.false_metrics, "200 ok", OWN, gateway="replicated"
    ),
    FailureCase(
        "a full replica that reports no queue",
        replicas.full_without_saying,
        "200 ok",
        OWN,
        gateway="replicated",
    ),
    FailureCase("a slow replica", replicas.slow, "200 ok", OWN, gateway="replicated"),
    FailureCase(
        "replicas slower than the caller's time limit",
        replicas.slower_than_the_limit,
        "504 timeout",
        OWN,
        gateway="replicated",
    ),
    FailureCase("a key replaced under load", rotation.key_replaced, "200 ok", OWN),
    FailureCase("a key removed under load", rotation.key_removed, rotation.UNKNOWN_KEY),
    FailureCase(
        "a key removed during its stream",
        rotation.key_of_a_stream_removed,
        "200 invalid_api_key",
        OWN,
        slow=True,
    ),
    FailureCase(
        "the issuer's key replaced under load",
        rotation.issuer_key_replaced,
        "200 ok",
        OWN,
        gateway="counted",
    ),
    FailureCase(
        "the issuer's key withdrawn under load",
        rotation.issuer_key_withdrawn,
        rotation.UNKNOWN_TOKEN,
        gateway="counted",
    ),
    FailureCase("its endpoint down, with a fallback within the class", fallbacks.within_class, "200 ok", OWN),
    FailureCase(
        "its endpoint down, with a fallback of another class",
        fallbacks.other_class,
        "503 model_unavailable",
    ),
    FailureCase(
        "its endpoint down, with a fallback in the cloud",
        _fallback_in_cloud,
        "200 ok",
        CLOUD,
        but={"restricted": ("does not start", NOBODY)},
        beyond=True,
    ),
    FailureCase("a batch", batches.whole, "200 ok", OWN, gateway="counted"),
    FailureCase(
        "a batch whose caller left the group before its lines are sent",
        batches.group_left,
        "404 model_not_found",
        gateway="counted",
    ),
    FailureCase(
        "a batch whose key is revoked before its lines are sent",
        batches.key_revoked,
        "401 revoked_api_key",
        gateway="counted",
        slow=True,
    ),
    *(
        FailureCase(name, tries, right, reaches, gateway="screened", slow=name in screening.SLOW)
        for name, (tries, right, reaches) in screening.ROWS.items()
    ),
)
