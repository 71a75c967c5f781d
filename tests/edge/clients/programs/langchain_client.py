"""LangChain against the gateway, as its documentation has it; what came of each step, as JSON."""

import json
import os

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


@tool
def rate(city: str) -> str:
    """Say the exchange rate in a city."""
    return f"0.97 in {city}"


class Place(BaseModel):
    """A place."""

    city: str


url, key = os.environ["BASE_URL"], os.environ["KEY"]
chat = ChatOpenAI(model="fast", base_url=url, api_key=key, max_retries=0)
steps = {"chat": chat.invoke("hello").content}
messages = [HumanMessage("what is the rate?")]
bound = chat.bind_tools([rate])
answer = bound.invoke(messages)
messages += [
    answer,
    *(ToolMessage(rate.invoke(call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls),
]
steps["tools"] = [messages[-1].content, bound.invoke(messages).content]
steps["stream"] = "".join(str(piece.content) for piece in chat.stream("hello"))
full_message = None
for piece in bound.stream("what is the rate?"):
    full_message = piece if full_message is None else full_message + piece
steps["streamed_tools"] = [call["args"] for call in full_message.tool_calls]
for method in ("json_schema", "function_calling"):
    steps[method] = chat.with_structured_output(Place, method=method).invoke("where?").city
# Without the check it sends texts; with it token ids, for which it fetches a tokenizer.
embeddings = OpenAIEmbeddings(model="vectors", base_url=url, api_key=key, check_embedding_ctx_length=False)
steps["embeddings"] = embeddings.embed_documents(["one", "two"])
print(json.dumps(steps))
