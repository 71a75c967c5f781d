"""LiteLLM as a client of the gateway, as its documentation has it; what came of each step, as JSON."""

import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch a list of prices

import litellm

RATE = {
    "type": "function",
    "function": {
        "name": "rate",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
connection = {"api_base": os.environ["BASE_URL"], "api_key": os.environ["KEY"], "max_retries": 0}
chat = {"model": "openai/fast", **connection}
messages = [{"role": "user", "content": "what is the rate?"}]
steps = {"chat": litellm.completion(messages=messages, **chat).choices[0].message.content}
steps["stream"] = "".join(
    piece.choices[0].delta.content or ""
    for piece in litellm.completion(messages=messages, stream=True, **chat)
)
answer = litellm.completion(messages=messages, tools=[RATE], **chat).choices[0].message
messages.append(answer)
for call in answer.tool_calls:
    city = json.loads(call.function.arguments)["city"]
    messages.append(
        {"role": "tool", "tool_call_id": call.id, "name": call.function.name, "content": f"0.97 in {city}"}
    )
last = litellm.completion(messages=messages, tools=[RATE], **chat).choices[0].message
steps["tools"] = [messages[-1]["content"], last.content]
pieces = list(litellm.completion(messages=messages[:1], tools=[RATE], stream=True, **chat))
rebuilt = litellm.stream_chunk_builder(pieces, messages=messages[:1]).choices[0].message
steps["streamed_tools"] = [json.loads(call.function.arguments) for call in rebuilt.tool_calls]
messages[1] = rebuilt
steps["again"] = litellm.completion(messages=messages, **chat).choices[0].message.content
vectors = litellm.embedding(model="openai/vectors", input=["one", "two"], **connection)
steps["embeddings"] = [vector["embedding"] for vector in vectors.data]
print(json.dumps(steps))
