"""LangGraph against the gateway through OpenAI's and Anthropic's interfaces; what came of each step, as JSON."""

import json
import os

import anthropic
import openai
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


@tool
def rate(city: str) -> str:
    """Say the exchange rate in a city."""
    return f"0.97 in {city}"


class Place(BaseModel):
    """A place."""

    city: str


url, keys = os.environ["BASE_URL"], {"held": os.environ["HELD_KEY"]}


def openai_model(name):
    return ChatOpenAI(
        model=name,
        base_url=url,
        api_key=keys.get(name, os.environ["KEY"]),
        max_retries=0,
        use_responses_api=True,
    )


def anthropic_model(name):
    return ChatAnthropic(
        model=name,
        base_url=url.removesuffix("/v1"),
        api_key=keys.get(name, os.environ["KEY"]),
        max_retries=0,
        max_tokens=100,
    )


QUESTION = {"messages": [{"role": "user", "content": "what is the rate?"}]}
steps = {}
for name, make in (("responses", openai_model), ("messages", anthropic_model)):
    model = make("fast")
    agent = create_agent(model, tools=[rate], system_prompt="Ask the tool.")
    done = agent.invoke(QUESTION)["messages"]
    steps[f"{name}_tools"] = [done[-2].content, done[-1].text]
    pieces = []
    for piece, _ in agent.stream(QUESTION, stream_mode="messages"):
        if piece.type == "AIMessageChunk":
            pieces.append(piece.text)
    steps[f"{name}_stream"] = "".join(pieces)
    steps[f"{name}_structured"] = (
        model.with_structured_output(Place, method="json_schema").invoke("where?").city
    )
    try:
        make("another").invoke("hello")
    except (openai.NotFoundError, anthropic.NotFoundError) as error:
        steps[f"{name}_error"] = error.status_code
    steps[f"{name}_held"] = make("held").invoke("hello").text
print(json.dumps(steps))
