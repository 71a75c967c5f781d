"""Anthropic's Python client against the gateway, as its documentation has it; what came of each step, as JSON."""

import json
import os

import anthropic
from pydantic import BaseModel


class Place(BaseModel):
    """A place."""

    city: str


TOOL = {
    "name": "rate",
    "description": "Say the exchange rate in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
url = os.environ["BASE_URL"].removesuffix("/v1")
client = anthropic.Anthropic(base_url=url, api_key=os.environ["KEY"], max_retries=0)
hello = {"model": "fast", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
answer = client.messages.create(**hello, system="Be kind.")
steps = {"models": [model.id for model in client.models.list()], "chat": answer.content[0].text}
steps["request_id"] = answer.id == f"msg_{answer._request_id}"
steps["usage"] = [answer.usage.input_tokens, answer.usage.output_tokens]
steps["count"] = client.messages.count_tokens(model="fast", messages=hello["messages"]).input_tokens
messages = [{"role": "user", "content": "what is the rate?"}]
answer = client.messages.create(model="fast", max_tokens=100, messages=messages, tools=[TOOL])
results = [
    {"type": "tool_result", "tool_use_id": block.id, "content": f"0.97 in {block.input['city']}"}
    for block in answer.content
    if block.type == "tool_use"
]
messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
last = client.messages.create(model="fast", max_tokens=100, messages=messages, tools=[TOOL])
steps["tools"] = [results[0]["content"], last.content[0].text]
with client.messages.stream(**hello) as stream:
    steps["stream"] = "".join(stream.text_stream)
    steps["stream_tokens"] = [
        stream.get_final_message().usage.input_tokens,
        stream.get_final_message().usage.output_tokens,
    ]
with client.messages.stream(model="fast", max_tokens=100, messages=messages[:1], tools=[TOOL]) as stream:
    steps["streamed_tools"] = [block.input for block in stream.get_final_message().content]
steps["structured"] = client.messages.parse(**hello, output_format=Place).parsed_output.city
try:
    client.messages.create(**{**hello, "model": "another"})
except anthropic.NotFoundError as error:
    steps["error"] = [error.body["error"]["type"], error.body["error"]["code"]]
try:
    anthropic.Anthropic(base_url=url, api_key="isk_wrong", max_retries=0).messages.create(**hello)
except anthropic.AuthenticationError as error:
    steps["wrong_key"] = error.body["error"]["code"]
try:
    with client.messages.stream(**{**hello, "model": "broken"}) as stream:
        stream.until_done()
except anthropic.APIStatusError as error:
    steps["broken_stream"] = error.body["error"]["code"]
client = anthropic.Anthropic(base_url=url, api_key=os.environ["HELD_KEY"], max_retries=0)
held = client.messages.create(**{**hello, "model": "held"})
steps["held"] = [held.stop_reason, held.content[0].text]
print(json.dumps(steps))
