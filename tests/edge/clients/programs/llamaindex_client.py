"""LlamaIndex against the gateway, as its documentation has it; what came of each step, as JSON."""

import json
import os

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai_like import OpenAILike


def rate(city: str) -> str:
    """Say the exchange rate in a city."""
    return f"0.97 in {city}"


url, key = os.environ["BASE_URL"], os.environ["KEY"]
llm = OpenAILike(
    model="fast", api_base=url, api_key=key, is_chat_model=True, is_function_calling_model=True, max_retries=0
)
question = [ChatMessage(role=MessageRole.USER, content="hello")]
steps = {"chat": llm.chat(question).message.content}
steps["stream"] = "".join(piece.delta or "" for piece in llm.stream_chat(question))
tool = FunctionTool.from_defaults(rate)
answer = llm.chat_with_tools([tool], chat_history=question)
calls = llm.get_tool_calls_from_response(answer)
results = [
    ChatMessage(
        role=MessageRole.TOOL,
        content=tool(**call.tool_kwargs).content,
        additional_kwargs={"tool_call_id": call.tool_id},
    )
    for call in calls
]
last = llm.chat_with_tools([tool], chat_history=[*question, answer.message, *results])
steps["tools"] = [results[0].content, last.message.content]
steps["embeddings"] = OpenAIEmbedding(
    model_name="vectors", api_base=url, api_key=key, max_retries=0
).get_text_embedding_batch(["one", "two"])
print(json.dumps(steps))
