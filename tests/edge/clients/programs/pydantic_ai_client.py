"""pydantic-ai against the gateway through OpenAI's and Anthropic's interfaces; what came of each step, as JSON."""

import asyncio
import json
import os

from anthropic import AsyncAnthropic
from pydantic import BaseModel
from pydantic_ai import Agent, ModelHTTPError, NativeOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider


class Place(BaseModel):
    """A place."""

    city: str


url, keys = os.environ["BASE_URL"], {"held": os.environ["HELD_KEY"]}


def openai_model(name):
    key = keys.get(name, os.environ["KEY"])
    return OpenAIResponsesModel(name, provider=OpenAIProvider(base_url=url, api_key=key))


def anthropic_model(name):
    key = keys.get(name, os.environ["KEY"])
    client = AsyncAnthropic(base_url=url.removesuffix("/v1"), api_key=key, max_retries=0)
    return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))


def rate(city: str) -> str:
    """Say the exchange rate in a city."""
    return f"0.97 in {city}"


async def main() -> None:
    steps = {}
    for name, make in (("responses", openai_model), ("messages", anthropic_model)):
        agent = Agent(make("fast"), tools=[rate], instructions="Ask the tool.")
        run = await agent.run("what is the rate?")
        results = [
            part.content
            for message in run.all_messages()
            for part in message.parts
            if part.part_kind == "tool-return"
        ]
        steps[f"{name}_tools"] = [*results, run.output]
        async with agent.run_stream("what is the rate?") as streamed:
            steps[f"{name}_stream"] = await streamed.get_output()
        where = Agent(make("fast"), output_type=NativeOutput(Place) if name == "responses" else Place)
        steps[f"{name}_structured"] = (await where.run("where?")).output.city
        try:
            await Agent(make("another")).run("hello")
        except ModelHTTPError as error:
            steps[f"{name}_error"] = error.status_code
        steps[f"{name}_held"] = (await Agent(make("held")).run("hello")).output
    print(json.dumps(steps))


asyncio.run(main())
