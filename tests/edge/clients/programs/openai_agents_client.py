"""OpenAI's Agents SDK against the gateway, as its documentation has it; what came of each step, as JSON."""

import asyncio
import json
import os

import openai
from agents import (
    Agent,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_default_openai_client,
    set_tracing_disabled,
)
from pydantic import BaseModel

# The SDK sends prompts and answers as traces to OpenAI unless this is switched off.
set_tracing_disabled(True)
client = openai.AsyncOpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["KEY"], max_retries=0)
set_default_openai_client(client, use_for_tracing=False)


@function_tool
def rate(city: str) -> str:
    """Say the exchange rate in a city."""
    return f"0.97 in {city}"


class Place(BaseModel):
    """A place."""

    city: str


async def main() -> None:
    plain = Agent(name="plain", instructions="Answer briefly.", model="fast")
    clerk = Agent(name="clerk", instructions="Ask the tool.", model="fast", tools=[rate])
    steps = {"chat": (await Runner.run(plain, "hello")).final_output}
    run = await Runner.run(clerk, "what is the rate?")
    outputs = [item.output for item in run.new_items if item.type == "tool_call_output_item"]
    steps["tools"] = [*outputs, run.final_output]
    steps["again"] = (
        await Runner.run(clerk, [*run.to_input_list(), {"role": "user", "content": "and?"}])
    ).final_output
    streamed = Runner.run_streamed(clerk, "what is the rate?")
    pieces = []
    async for event in streamed.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            pieces.append(event.data.delta)
    steps["stream"] = ["".join(pieces), streamed.final_output]
    where = Agent(name="where", model="fast", output_type=Place)
    steps["structured"] = (await Runner.run(where, "where?")).final_output.city
    try:
        await Runner.run(plain, "and then?", previous_response_id="resp_1")
    except openai.BadRequestError as error:
        steps["error"] = error.code
    held_client = openai.AsyncOpenAI(
        base_url=os.environ["BASE_URL"], api_key=os.environ["HELD_KEY"], max_retries=0
    )
    held = Agent(name="held", model=OpenAIResponsesModel("held", held_client))
    steps["held"] = (await Runner.run(held, "hello")).final_output
    streamed = Runner.run_streamed(Agent(name="broken", model="broken"), "hello")
    try:
        async for _ in streamed.stream_events():
            pass
    except openai.APIError as error:
        steps["broken_stream"] = error.code
    print(json.dumps(steps))


asyncio.run(main())
