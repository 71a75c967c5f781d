"""Step times from a card's data sheet, for what nobody measured: other cards, other models, other precisions.

A step takes the longer of its arithmetic and its reading, each at a part of the data sheet's figure, and what talking
between GPUs and starting kernels costs besides. Those parts were fitted to the measured grid
(`scripts/fit_roofline.py`); what is left over is the interval of `isthmus.planning.trust`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from isthmus.planning.catalogues.architecture import Architecture
from isthmus.planning.catalogues.gpus import Card
from isthmus.planning.catalogues.precision import BYTES, active_bytes


@dataclass(frozen=True)
class Fit:
    """What part of the data sheet is reached, and what every step and layer costs besides."""

    compute: float = 0.7386
    """Of the tensor cores' peak, in a large prefill."""
    reading: float = 0.9161
    """Of the memory's bandwidth, in a decoding step."""
    cache: float = 0.8514
    """Of the memory's bandwidth, for keys and values."""
    step_ms: float = 0.0091
    layer_us: float = 54.2648
    """Kernels of one layer that are started and waited for, whatever they do."""
    hop_us: float = 2.6115
    """Two of which each layer's sums over GPUs take."""
    link: float = 0.2885
    """Of the link's bandwidth."""
    experts: float = 0.5232
    """Of what dense layers reach, where tokens are spread over experts."""


FIT = Fit()


@dataclass(frozen=True)
class Roofline:
    """Step times of one replica on `tensor_parallel` cards."""

    model: Architecture
    card: Card
    precision: str
    tensor_parallel: int
    cache_bytes: float = 2.0
    fit: Fit = FIT

    def prefill(self, tokens: float) -> float:
        tokens = max(tokens, 1.0)
        work = 2 * (self.model.active - self.model.head) * tokens / self._flops(tokens)
        read = active_bytes(self.model, self.precision, tokens) / self._read()
        return 1000 * (max(work, read) + self._attention(tokens)) + self._besides(tokens)

    def decode(self, batch: float, context: float) -> float:
        batch = max(batch, 1.0)
        work = 2 * self.model.active * batch / self._flops(batch)
        read = active_bytes(self.model, self.precision, batch) / self._read()
        kept = batch * self.model.cache_of_sequence(int(context), self.tensor_parallel, self.cache_bytes)
        cache = kept / (self.card.bandwidth_gb_s * 1e9 * self.fit.cache)
        return 1000 * (max(work, read) + cache) + self._besides(batch)

    def _flops(self, tokens: float) -> float:
        """Operations a second of the group, in the precision of its weights where the card has it."""
        card = self.card
        peak = card.bf16_tflops
        if BYTES[self.precision] <= 1.0 and self.precision in ("fp8", "int8") and card.fp8_tflops:
            peak = card.fp8_tflops
        if self.precision == "nvfp4" and card.fp4_tflops:
            peak = card.fp4_tflops
        part = self.fit.compute * (self.fit.experts if self.model.expert_count else 1.0)
        # Few tokens leave a tile's rows empty.
        filled = tokens / (tokens + 64)
        return peak * 1e12 * part * filled * self.tensor_parallel

    def _read(self) -> float:
        """Bytes of weights a second of the group."""
        part = self.fit.reading * (self.fit.experts**0.5 if self.model.expert_count else 1.0)
        return self.card.bandwidth_gb_s * 1e9 * part * self.tensor_parallel

    def _attention(self, tokens: float) -> float:
        """Seconds of the prompt's own products of queries and keys, which grow with its square."""
        pairs = 0.0
        for each in self.model.caches:
            if each.kind == "state":
                continue
            seen = tokens if each.window is None else min(tokens, 2 * each.window)
            pairs += each.layers * tokens * seen / 2
        if self.model.encoder:
            pairs = self.model.layers * tokens * tokens
        operations = 4 * self.model.heads * self.model.head_dim * pairs
        return operations / (self.card.bf16_tflops * 1e12 * self.fit.compute * 0.6 * self.tensor_parallel)

    def _besides(self, tokens: float) -> float:
        """Milliseconds of starting kernels, and of sums over the group."""
        own = self.fit.step_ms + self.model.layers * self.fit.layer_us / 1000
        if self.tensor_parallel == 1:
            return own
        hops = 2 * self.model.layers
        moved = hops * tokens * self.model.hidden * 2 * 2 * (self.tensor_parallel - 1) / self.tensor_parallel
        slow = self.fit.hop_us * (1.0 if self.card.nvlink else 3.0) * math.log2(self.tensor_parallel)
        return own + hops * slow / 1000 + 1000 * moved / (self.card.link_gb_s * 1e9 * self.fit.link)
