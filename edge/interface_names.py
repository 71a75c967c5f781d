"""Names of the interfaces that a workload may offer beside chat. Requirements, platform and edge all read this list.

Each interface is another way to send the same requests: all pass the same screening, review, records and limits.
"""

from __future__ import annotations

from typing import Literal

Interface = Literal["completions", "responses", "messages", "tokenize", "batches", "idempotency"]
"""`completions`: OpenAI's older `/v1/completions`. `responses`: OpenAI's `/v1/responses`. `messages`: Anthropic's
`/v1/messages`. `tokenize`: vLLM's `/tokenize`. `batches`: `/v1/files` and `/v1/batches`. `idempotency`: the header
`Idempotency-Key`."""
GENERATING: frozenset[Interface] = frozenset(("completions", "responses", "messages"))
"""Interfaces whose answers a chat model generates."""
STORING: frozenset[Interface] = frozenset(("batches", "idempotency"))
"""Interfaces that keep requests or answers for a day, in the gateway's database."""
OF_MODEL_SERVERS: frozenset[Interface] = frozenset(("completions", "tokenize"))
"""Interfaces that need a model server. The translator to AWS supports chat only, and has no tokenizer."""
