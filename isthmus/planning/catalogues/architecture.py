"""Architecture of a model: parameters by kind, and what its layers cache of a sequence.

Figures are numbers of elements, not bytes. Precision and element size are chosen by the caller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

CacheKind = Literal["full", "window", "latent", "state"]
"""What a layer caches: `full`: keys and values of every token; `window`: of the last tokens only; `latent`: a
compressed latent that all heads share (MLA); `state`: a state of fixed size (Mamba, linear attention)."""


@dataclass(frozen=True)
class Cache:
    """What `layers` layers of one kind cache of one sequence."""

    kind: CacheKind
    layers: int
    heads: int = 1
    """Key-value heads; 1 for a latent, which every GPU keeps whole."""
    elements: int = 0
    """Numbers a token, layer and head: keys and values together."""
    window: int | None = None
    """Tokens that are kept at most."""
    state: int = 0
    """Numbers a layer keeps whatever the length, in the precision of `state_bytes`."""
    state_bytes: int = 2
    """Bytes of a number of the state."""

    def of_token(self, tensor_parallel: int) -> int:
        """Return the elements that one GPU caches of a token. With fewer heads than GPUs, heads are replicated."""
        return self.layers * self.elements * math.ceil(self.heads / tensor_parallel)

    def of_sequence(self, tokens: int, tensor_parallel: int, element_bytes: float) -> float:
        """Bytes that one GPU keeps of a sequence of `tokens`."""
        kept_tokens = tokens if self.window is None else min(tokens, self.window)
        state = self.layers * self.state * self.state_bytes / tensor_parallel
        return kept_tokens * self.of_token(tensor_parallel) * element_bytes + state


@dataclass(frozen=True)
class Architecture:
    """One model. Parameters are counts, not bytes."""

    kind: str
    """The hub's `model_type`."""
    layers: int
    hidden: int
    heads: int
    """Query heads: tensor parallelism must divide them."""
    head_dim: int
    vocabulary: int
    embedding: int
    """Parameters of input and output embeddings together, once where they are tied."""
    head: int
    """Parameters of the output embedding, which every token passes, tied or not."""
    dense: int
    """Parameters that every token passes: attention, dense and shared feed-forward, norms, routers."""
    experts: int
    """Parameters of all routed experts; 0 for a dense model."""
    expert_count: int
    experts_per_token: int
    caches: tuple[Cache, ...]
    context: int
    """Tokens, from `max_position_embeddings`. The catalogue may state another figure."""
    feed_forward: int
    """The widest intermediate size of a dense feed-forward layer, or of the experts that one token passes."""
    attention_layers: int
    """Layers whose work grows with the length of the context."""
    encoder: bool = False
    """Reads a text at once and keeps nothing: embedding and rerank models of the BERT family."""

    @property
    def total(self) -> int:
        """All parameters."""
        return self.embedding + self.dense + self.experts

    @property
    def active(self) -> int:
        """Parameters that one token passes, without the input embedding, which is only looked up."""
        passed = self.experts * self.experts_per_token // self.expert_count if self.expert_count else 0
        return self.dense + passed + self.head

    def cache_of_sequence(self, tokens: int, tensor_parallel: int, element_bytes: float) -> float:
        """Bytes that one GPU keeps of a sequence of `tokens`."""
        return sum(cache.of_sequence(tokens, tensor_parallel, element_bytes) for cache in self.caches)
