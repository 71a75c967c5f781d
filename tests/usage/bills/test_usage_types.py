"""Usage types of Bedrock as bills and AWS's price lists have them, collected without sight of the matcher.

Sources, read on 2026-12-01: Amazon Bedrock User Guide, "Understanding your Amazon Bedrock Cost and Usage Report data"
(patterns of the four kinds of tokens, with and without `mantle`); usage types quoted from AWS's price lists and from
bills in public repositories (service tiers, cross-region, long cache, Marketplace).
"""

from __future__ import annotations

import pytest

from isthmus.usage.bills.token_kinds import token_kind

INPUT = (
    "USE1-Claude3-5Haiku-input-tokens-latency-optimized",
    "USE1-Claude4.5Sonnet-input-tokens-cross-region-global",
    "USE1-Claude4.6Opus-cache-write-input-token-count",
    "USE1-Claude4.6Opus-cache-write-input-token-count-cross-region-global",
    "USE1-Claude4.6Sonnet-input-tokens",
    "USE1-Gemma-3-4B-IT-input-tokens-flex",
    "USE1-MistralSmall-input-tokens-batch",
    "USE1-Nova2.0Lite-input-tokens-cross-region-global-batch",
    "USE1-Nova2.0Pro-text-input-tokens-priority-cross-region-global",
    "USE1-NovaPro-cache-write-input-token-count",
    "USE1-openai.gpt-oss-120b-mantle-input-tokens-standard",
    "USE1-xai.grok-4.3-mantle-input-tokens-flex",
    "USW2-anthropic.claude-opus-4-8-mantle-input-tokens-global-standard",
    "USW2-zai.glm5-mantle-input-tokens-priority",
    "UGW1-openai.gpt-5.6-terra-mantle-cache-write-tokens-30m-standard",
    "USW2-MP:USW2_InputTokenCount-Units",
    "USW2-MP:USW2_InputTokenCount_Global_Batch-Units",
    "APN1-MP:APN1_CacheWriteInputTokenCount_Global-Units",
    "APN1-MP:APN1_input_tokens_global_standard-Units",
)
CACHED = (
    "USE1-Claude4.6Sonnet-cache-read-input-token-count",
    "USE1-Claude4Sonnet-cache-read-input-token-count-cross-region-global",
    "USE1-NovaPro-cache-read-input-token-count",
    "UGW1-openai.gpt-5.6-terra-mantle-cache-read-tokens-standard",
    "USW2-MP:USW2_CacheReadInputTokenCount-Units",
    "USW2-MP:USW2_CacheReadInputTokenCount_Global-Units",
    "APN1-MP:APN1_cache_read_tokens_global_standard-Units",
)
OUTPUT = (
    "APN1-NovaPro-output-tokens",
    "USE1-Claude4.5Sonnet-output-tokens-cross-region-global",
    "USE1-GPT-OSS-Safeguard-120B-output-tokens-batch",
    "USE1-xai.grok-4.3-mantle-output-tokens-standard",
    "USW2-MP:USW2_OutputTokenCount_Global-Units",
    "APN1-MP:APN1_output_tokens_global_standard-Units",
)
NO_TOKENS = (
    "EUC1-Guardrail-ContentPolicyUnitsConsumed",
    "EUC1-ModelCustomization-Storage",
    "EUC1-VpcEndpoint-Hours",
    "USE1-NovaCanvas-T2I-1024-Standard",
)


@pytest.mark.parametrize(
    ("usage_type", "kind"),
    [
        *((name, "input") for name in INPUT),
        *((name, "cached") for name in CACHED),
        *((name, "output") for name in OUTPUT),
        *((name, None) for name in NO_TOKENS),
    ],
)
def test_each_usage_type_is_of_its_token_kind_tokens(usage_type: str, kind: str | None):
    assert token_kind(usage_type) == kind
