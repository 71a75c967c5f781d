"""The unmodified OpenAI client: models, chat, tools, completions, embeddings, streams and errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pydantic
import pytest

from tests.edge.counted import Counted, counted
from tests.edge.fake_model import TOOL_CALL, WORDS, FakeModel
from tests.edge.postgres import Postgres

pytestmark = pytest.mark.service

TEXT = "".join(WORDS)
VECTORS = {
    "object": "list",
    "model": "bge",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "rate",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
MESSAGES: list[Any] = [{"role": "user", "content": "hello"}]


class Answering(FakeModel):
    def answers(self, path: str) -> dict[str, Any] | None:
        return {"/v1/embeddings": VECTORS}.get(path)


@dataclass
class Bank:
    site: Counted
    client: openai.OpenAI

    @property
    def asked(self) -> dict[str, Any]:
        """The last request that the model server received."""
        return self.site.models[0].last_body()


@pytest.fixture(scope="module")
def running(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    with counted(tmp_path_factory.mktemp("openai"), postgres, "openai", [Answering()]) as site:
        site.start(
            workloads=[
                {"name": "narratives", "clients": ["claims.payments.svc"]},
                {"name": "spent", "allowance": {"tokens_per_month": 2000}},
            ],
            routes=[
                {**site.place(), "workload": "narratives", "name": "fast", "interfaces": ["completions"]},
                {**site.place(model="bge"), "workload": "narratives", "name": "vectors", "task": "embedding"},
                {**site.place(), "workload": "spent"},
            ],
        )
        for edge in (*site.sidecars, *site.gateways):
            edge.wait_until_up()
        with client_of(site, site.issue("narratives"), "claims") as client:
            yield Bank(site, client)


def client_of(site: Counted, key: str, certificate: str = "app") -> openai.OpenAI:
    return openai.OpenAI(
        base_url=site.gateways[0].url + "/v1",
        api_key=key,
        http_client=openai.DefaultHttpxClient(verify=site.authority.client(certificate), trust_env=False),
        max_retries=0,
    )


@pytest.fixture
def bank(running: Bank) -> Bank:
    running.site.models[0].reset()
    return running


def test_the_openai_client_lists_the_models_of_a_workload(bank: Bank):
    assert [model.id for model in bank.client.models.list()] == ["fast", "vectors"]


def test_the_openai_client_reads_only_its_own_model(bank: Bank):
    assert bank.client.models.retrieve("fast").id == "fast"
    with pytest.raises(openai.NotFoundError):
        bank.client.models.retrieve("spent")


def test_the_openai_client_calls_tools(bank: Bank):
    """As in OpenAI's guide: the message of the answer is sent back unchanged."""
    messages: list[Any] = [*MESSAGES]
    answer = bank.client.chat.completions.create(
        model="fast", messages=messages, tools=TOOLS, tool_choice="auto", parallel_tool_calls=False
    )
    call: Any = (answer.choices[0].message.tool_calls or [])[0]
    assert call.model_dump(exclude_none=True) == TOOL_CALL
    assert bank.asked["tools"] == TOOLS
    messages.append(answer.choices[0].message)
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "0.97"})
    last = bank.client.chat.completions.create(model="fast", messages=messages)
    assert last.choices[0].message.content == TEXT
    assert bank.asked["messages"] == [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]},
        messages[-1],
    ]
    messages.append(last.choices[0].message)
    messages.append({"role": "user", "content": "thanks"})
    bank.client.chat.completions.create(model="fast", messages=messages)
    assert bank.asked["messages"][-2] == {"role": "assistant", "content": TEXT}


def test_the_openai_client_calls_tools_in_a_stream(bank: Bank):
    stream = bank.client.chat.completions.create(model="fast", messages=MESSAGES, tools=TOOLS, stream=True)
    tool_calls: list[Any] = [part for chunk in stream for part in chunk.choices[0].delta.tool_calls or []]
    assert tool_calls[0].function.name == "rate"
    assert "".join(part.function.arguments for part in tool_calls) == TOOL_CALL["function"]["arguments"]


# Parsed messages of the openai library are not instances of their declared class.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_a_message_assembled_by_the_openai_stream_helper_is_accepted_back(bank: Bank):
    messages: list[Any] = [*MESSAGES]
    with bank.client.chat.completions.stream(model="fast", messages=messages, tools=TOOLS) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls
    messages.append(message)
    messages.append({"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "0.97"})
    assert bank.client.chat.completions.create(model="fast", messages=messages).choices[0].message.content
    assert bank.asked["messages"][1]["tool_calls"][0]["function"] == TOOL_CALL["function"]


class Payment(pydantic.BaseModel):
    city: str
    amount: int


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_the_openai_client_parses_an_answer_into_a_class(bank: Bank):
    bank.site.models[0].words = ['{"city": "Bern",', ' "amount": 12}']
    answer = bank.client.chat.completions.parse(
        model="fast", messages=MESSAGES, response_format=Payment, store=False, metadata={"app": "x"}
    )
    assert answer.choices[0].message.parsed == Payment(city="Bern", amount=12)
    assert bank.asked["response_format"]["json_schema"]["name"] == "Payment"
    assert {"store", "metadata"}.isdisjoint(bank.asked)
    again: list[Any] = [*MESSAGES, answer.choices[0].message, *MESSAGES]
    assert bank.client.chat.completions.create(model="fast", messages=again).choices


def test_the_openai_client_gets_an_answer_that_follows_a_schema(bank: Bank):
    shape: Any = {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True},
    }
    bank.client.chat.completions.create(model="fast", messages=MESSAGES, response_format=shape)
    assert bank.asked["response_format"] == shape


def test_the_openai_client_completes_text_whole_and_as_a_stream(bank: Bank):
    answer = bank.client.completions.create(model="fast", prompt="Paid", max_tokens=5, suffix=".")
    assert (answer.choices[0].text, answer.model, answer.object) == (TEXT, "fast", "text_completion")
    assert bank.asked == {"model": "llama", "prompt": "Paid", "max_tokens": 5, "suffix": "."}
    stream = bank.client.completions.create(
        model="fast", prompt=[1, 2, 3], stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == TEXT
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 5
    bank.site.models[0].reset("cut")
    with pytest.raises(openai.APIError, match="before it was complete"):
        list(bank.client.completions.create(model="fast", prompt="Paid", stream=True))


def test_the_openai_client_gets_embeddings(bank: Bank):
    answer = bank.client.embeddings.create(model="vectors", input=["one"], encoding_format="float")
    assert (answer.data[0].embedding, answer.model, answer.usage.prompt_tokens) == ([0.5, 0.25], "vectors", 3)
    again = bank.client.embeddings.with_raw_response.create(
        model="vectors", input="a", encoding_format="float"
    )
    assert json.loads(again.text)["id"] == f"embd-{again.headers['x-request-id']}"


def test_the_openai_client_may_authenticate_by_certificate(bank: Bank):
    with client_of(bank.site, "certificate", "claims") as client:
        assert (
            client.chat.completions.create(model="fast", messages=MESSAGES).choices[0].message.content == TEXT
        )


def test_errors_raise_the_matching_exceptions_of_the_openai_client(bank: Bank):
    for key, model, expected in (
        ("isk_" + "x" * 43, "fast", openai.AuthenticationError),
        (
            bank.site.issue("narratives"),
            "fast",
            openai.PermissionDeniedError,
        ),  # with another client certificate
        (bank.site.issue("spent"), "fast", openai.NotFoundError),
    ):
        with client_of(bank.site, key) as client, pytest.raises(expected):
            client.chat.completions.create(model=model, messages=MESSAGES)
    with client_of(bank.site, bank.site.issue("spent")) as client:
        client.max_retries = 2
        many = (
            client.chat.completions.create(model="spent", messages=MESSAGES, max_tokens=100)
            for _ in range(200)
        )
        with pytest.raises(openai.APIStatusError) as caught:
            list(many)
        assert caught.value.status_code == 402
        assert caught.value.code == "budget_exhausted"
        requests = [line for line in bank.site.gateways[0].lines("request") if line["status"] == 402]
        assert len(requests) == 1, "the client tried again, and a budget does not come back by that"


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("completions", {"prompt": "x", "cache_salt": "y"}, "unknown_field"),
        ("completions", {"prompt": "x", "prompt_embeds": "y"}, "unknown_field"),
        ("completions", {"messages": MESSAGES}, "unknown_field"),
        ("completions", {"prompt": []}, "invalid_prompt"),
        ("completions", {"prompt": {"url": "http://x"}}, "invalid_prompt"),
        ("completions", {"prompt": "x", "best_of": -1}, "invalid_best_of"),
        ("completions", {"prompt": "x", "stream": "yes"}, "invalid_stream"),
        ("chat/completions", {"messages": MESSAGES, "max_tokens": 1e9}, "invalid_max_tokens"),
        ("chat/completions", {"messages": MESSAGES, "tools": [{"type": "function"}]}, "invalid_tools"),
        (
            "chat/completions",
            {"messages": MESSAGES, "tools": [{**TOOLS[0], "server_url": "http://x"}]},
            "invalid_tools",
        ),
        ("chat/completions", {"messages": MESSAGES, "tool_choice": {"type": "mcp"}}, "invalid_tool_choice"),
        (
            "chat/completions",
            {"messages": MESSAGES, "response_format": {"type": "structural_tag"}},
            "invalid_response_format",
        ),
        (
            "chat/completions",
            {"messages": [{"role": "assistant", "tool_calls": [{"type": "custom"}]}]},
            "invalid_messages",
        ),
        ("embeddings", {"input": "x"}, "wrong_task"),
    ],
)
def test_a_field_that_an_endpoint_does_not_accept_never_reaches_a_model(
    bank: Bank, path: str, fields: dict[str, Any], code: str
):
    key = {"authorization": f"Bearer {bank.client.api_key}"}
    answer = bank.site.post(0, f"/v1/{path}", {"model": "fast", **fields}, key, "claims")
    assert answer.json()["error"]["code"] == code
    assert answer.status_code in (400, 404)
    assert bank.site.models[0].received == []
