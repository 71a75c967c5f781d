"""OpenAI's Python client at `/v1/responses`, as its documentation has it; what came of each step, as JSON."""

import json
import os

import openai
from pydantic import BaseModel


class Place(BaseModel):
    """A place."""

    city: str


TOOL = {
    "type": "function",
    "name": "rate",
    "description": "Say the exchange rate in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
client = openai.OpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["KEY"], max_retries=0)
steps = {"chat": client.responses.create(model="fast", input="hello").output_text}
items = [{"role": "user", "content": "what is the rate?"}]
answer = client.responses.create(model="fast", input=items, tools=[TOOL])
items += answer.output
for call in answer.output:
    result = f"0.97 in {json.loads(call.arguments)['city']}"
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
steps["tools"] = [
    items[-1]["output"],
    client.responses.create(model="fast", input=items, tools=[TOOL]).output_text,
]
with client.responses.stream(model="fast", input="hello") as stream:
    steps["stream"] = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
    steps["stream_final"] = stream.get_final_response().output_text
with client.responses.stream(model="fast", input="what is the rate?", tools=[TOOL]) as stream:
    steps["streamed_tools"] = [json.loads(call.arguments) for call in stream.get_final_response().output]
steps["structured"] = client.responses.parse(
    model="fast", input="where?", text_format=Place
).output_parsed.city
with client.responses.stream(model="fast", input="where?", text_format=Place) as stream:
    steps["structured_stream"] = stream.get_final_response().output_parsed.city
try:
    client.responses.create(model="fast", input="hello", tools=[{"type": "web_search"}])
except openai.BadRequestError as error:
    steps["error"] = error.code
try:
    for _ in client.responses.create(model="broken", input="hello", stream=True):
        pass
except openai.APIError as error:
    steps["broken_stream"] = error.code
client = openai.OpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["HELD_KEY"], max_retries=0)
held = client.responses.create(model="held", input="hello")
steps["held"] = [held.status, held.output_text]
steps["held_structured"] = client.responses.parse(
    model="held", input="where?", text_format=Place
).output_parsed
print(json.dumps(steps))
