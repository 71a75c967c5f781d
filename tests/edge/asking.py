"""Requests that a gateway must refuse: other models, foreign fields, outside addresses, invalid bodies.

Shared by those who try each against one gateway, against every class, and with the network open.
"""

from __future__ import annotations

from typing import Any

from tests.edge.fake_model import MODEL

OTHER_MODELS = [
    "claims",
    MODEL,
    "gpt-4o",
    "bedrock/converse/eu.anthropic.claude-haiku-4-5-20251001-v1:0",
    "internal-haiku",
    "",
]
"""The model of another workload, the server's own name, the cloud's name, the translator's name, unknown names."""

UNKNOWN_FIELDS = [
    "tags",
    "fallbacks",
    "api_base",
    "base_url",
    "api_key",
    "extra_body",
    "extra_headers",
    "cache_salt",
    "chat_template",
    "guided_json",
    "priority",
    "kv_transfer_params",
    "functions",
    "class",
]
"""Options of model servers, LiteLLM and clouds with which a caller could choose where a request goes."""

DATA_MOVING_FIELDS = """
    add_generation_prompt add_special_tokens allowed_openai_params api_version aws_access_key_id
    aws_bedrock_runtime_endpoint aws_region_name azure_ad_token background caching callbacks container
    continue_final_message conversation custom_llm_provider data_parallel_rank deployment_id documents echo file_ids
    guardrails guided_choice guided_regex include input_audio instructions litellm_metadata logits_processors
    lora_request mcp_servers media_io_kwargs mm_processor_kwargs mock_response model_list multi_modal_data num_retries
    organization previous_response_id prompt prompt_embeds prompt_logprobs proxy request_id return_token_ids
    success_callback timeout tool_resources user_config vector_store_ids vertex_project vllm_xargs
    webhook_url
""".split()  # noqa: SIM905  a list would take a line for each
"""Fields of OpenAI, vLLM, LiteLLM and clouds that fetch, store, log or send data elsewhere, or choose the server."""

HARMLESS_FIELDS = [
    "metadata",
    "modalities",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "verbosity",
]
"""Fields that clients send automatically. They are accepted, but no model server gets them."""

LEADING_OUT: list[dict[str, Any]] = [
    {"messages": []},
    {"messages": "hi"},
    {"messages": [{"role": "root", "content": "x"}]},
    {"messages": [{"role": "user", "content": "x", "cache_control": {}}]},
    {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "s3://x"}}]}]},
    {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
    {"tools": [{"type": "web_search"}]},
    {"tools": [{"type": "mcp", "server_url": "https://evil.example"}]},
    {"stream": "yes"},
    {"stream_options": {"include_usage": True}},
    {"stream": True, "stream_options": {"continuous_usage_stats": True}},
    {"model": 3},
    {"messages": [{"role": [], "content": "x"}]},
    {"messages": [{"role": "user", "name": {"a": 1}, "content": "x"}]},
    {"stop": {"a": 1}},
    {"stop": [["a"]]},
    {"user": ["erika"]},
    {"n": 10_000_000},
    {"n": 0},
    {"n": True},
    {"temperature": "1"},
    {"top_p": 1.5},
    {"logit_bias": {"4111 1111 1111 1111": 1}},
    {"reasoning_effort": "DE89 3704 0044 0532 0130 00"},
    {"modalities": ["text", "audio"]},
    {"functions": []},
    {"tools": [{"type": "function", "function": {"name": "a b"}}]},
    {"response_format": {"type": "json_schema", "json_schema": []}},
    {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"$ref": "https://evil.example/schema.json"}},
        }
    },
]
"""Malformed requests, and requests with an address that a server would fetch."""

NOT_JSON = [
    b"",
    b"{",
    b"[]",
    b'"x"',
    b"\xff\xfe",
    b'{"temperature": NaN}',
    b"[" * 60_000,
    b'{"n": ' + b"9" * 5000 + b"}",
    b'{"messages": [{"role": "user", "content": "a", "content": "b"}]}',
    b'{"metadata": ' + b"[" * 600 + b"]" * 600 + b"}",
    b'{"metadata": "\\ud800"}',
]

CLOUD_HEADERS = {
    "x-litellm-tags": "cloud",
    "x-isthmus-class": "public",
    "x-forwarded-host": "bedrock-runtime.eu-central-1.amazonaws.com",
    "x-amz-target": "Converse",
    "forwarded": "host=evil.example",
    "cookie": "class=public",
    "host": "bedrock-runtime.eu-central-1.amazonaws.com",
    "user-agent": "app/1",
}
"""Headers that ask for the cloud, another class or another host. The edge forwards none of them."""
