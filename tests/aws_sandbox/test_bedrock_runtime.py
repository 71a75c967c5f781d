"""The stand-in for Amazon Bedrock's runtime, as boto3 calls it."""

from __future__ import annotations

from typing import Any

import boto3
import botocore.exceptions
import pytest

from tests.aws_sandbox.driver import REGION, World

pytestmark = pytest.mark.service

NOVA = "amazon.nova-lite-v1:0"


@pytest.fixture
def runtime(world: World) -> Any:
    secret = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox"}
    return boto3.client("bedrock-runtime", endpoint_url=world.url, region_name=REGION, **secret)


def asked(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"text": text}]}]


def test_an_answer_says_that_no_model_was_called_and_repeats_what_arrived(runtime: Any):
    answer = runtime.converse(modelId=NOVA, messages=asked("Good day to <PERSON_1>"))
    [part] = answer["output"]["message"]["content"]
    assert "no model was called" in part["text"]
    assert "What arrived: Good day to <PERSON_1>" in part["text"]
    assert "placeholders: 1 PERSON" in part["text"]
    assert answer["usage"]["inputTokens"] == 4
    assert answer["stopReason"] == "end_turn"


def test_a_text_that_a_guardrail_reads_arrives_too(runtime: Any):
    content = [{"guardContent": {"text": {"text": "Good day"}}}]
    answer = runtime.converse(modelId=NOVA, messages=[{"role": "user", "content": content}])
    assert answer["output"]["message"]["content"][0]["text"].endswith("What arrived: Good day")


def test_a_stream_has_the_same_words_as_the_answer(runtime: Any):
    events = list(runtime.converse_stream(modelId=NOVA, messages=asked("Good day"))["stream"])
    text = "".join(
        event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event
    )
    whole = runtime.converse(modelId=NOVA, messages=asked("Good day"))
    assert text.strip() == whole["output"]["message"]["content"][0]["text"]
    assert events[-1]["metadata"]["usage"] == whole["usage"]


@pytest.mark.parametrize(
    "call",
    [
        {"modelId": "amazon.unknown-v1:0"},
        {
            "modelId": NOVA,
            "guardrailConfig": {"guardrailIdentifier": "none00000000", "guardrailVersion": "1"},
        },
    ],
)
def test_an_unknown_model_or_guardrail_is_refused(runtime: Any, call: dict[str, Any]):
    with pytest.raises(botocore.exceptions.ClientError, match=r"ResourceNotFound|ValidationException"):
        runtime.converse(messages=asked("Good day"), **call)
