"""Estimates step times from a GPU's data sheet, for cases without measurements.

A step takes the longer of its arithmetic and its memory reads, each at a share of the data sheet's figure, plus time
for communication between GPUs and for starting kernels. The shares were fitted to the measured grid. The remaining
error is the spread of the calibration `roofline`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from isthmus.planning.catalogues.architecture import Architecture
from isthmus.planning.catalogues.gpus import Card
from isthmus.planning.catalogues.precision import BYTES, active_bytes


@dataclass(frozen=True)
class ReachedShares:
    """Shares of the data sheet that engines reach, and constant costs of each step and layer."""

    compute: float = 0.7386
    """Of the tensor cores' peak, in a large prefill."""
    reading: float = 0.9161
    """Of the memory's bandwidth, in a decoding step."""
    cache: float = 0.8514
    """Of the memory's bandwidth, for keys and values."""
    step_ms: float = 0.0091
    layer_us: float = 54.2648
    """Time to start the kernels of one layer."""
    hop_us: float = 2.6115
    """Latency of a sum over GPUs. Each layer has two."""
    link: float = 0.2885
    """Of the link's bandwidth."""
    experts: float = 0.5232
    """Share of what dense layers reach, for layers with experts."""


REACHED = ReachedShares()


@dataclass(frozen=True)
class Roofline:
    """Step times of one replica on `tensor_parallel` cards."""

    model: Architecture
    card: Card
    precision: str
    tensor_parallel: int
    cache_bytes: float = 2.0
    fit: ReachedShares = REACHED

    def prefill(self, tokens: float) -> float:
        tokens = max(tokens, 1.0)
        work = 2 * (self.model.active - self.model.head) * tokens / self._flops(tokens)
        read = active_bytes(self.model, self.precision, tokens) / self._read()
        return 1000 * (max(work, read) + self._attention(tokens)) + self._besides(tokens)

    def decode(self, batch: float, context: float) -> float:
        batch = max(batch, 1.0)
        work = 2 * self.model.active * batch / self._flops(batch)
        read = active_bytes(self.model, self.precision, batch) / self._read()
        cache_bytes = batch * self.model.cache_of_sequence(
            int(context), self.tensor_parallel, self.cache_bytes
        )
        cache_seconds = cache_bytes / (self.card.bandwidth_gb_s * 1e9 * self.fit.cache)
        return 1000 * (max(work, read) + cache_seconds) + self._besides(batch)

    def decode_at(self, context: float) -> Callable[[float], float]:
        return lambda batch: self.decode(batch, context)

    def _flops(self, tokens: float) -> float:
        """Return operations a second of the group, in the precision of the weights if the card supports it."""
        card = self.card
        peak = card.bf16_tflops
        if BYTES[self.precision] <= 1.0 and self.precision in ("fp8", "int8") and card.fp8_tflops:
            peak = card.fp8_tflops
        if self.precision == "nvfp4" and card.fp4_tflops:
            peak = card.fp4_tflops
        part = self.fit.compute * (self.fit.experts if self.model.expert_count else 1.0)
        # With few tokens, rows of a tile stay empty.
        filled = tokens / (tokens + 64)
        return peak * 1e12 * part * filled * self.tensor_parallel

    def _read(self) -> float:
        """Return bytes of weights that the group reads a second."""
        part = self.fit.reading * (self.fit.experts**0.5 if self.model.expert_count else 1.0)
        return self.card.bandwidth_gb_s * 1e9 * part * self.tensor_parallel

    def _attention(self, tokens: float) -> float:
        """Return seconds of the attention of a prompt, which grow with the square of its length."""
        pairs = 0.0
        for cache in self.model.caches:
            if cache.kind == "state":
                continue
            attended_tokens = tokens if cache.window is None else min(tokens, 2 * cache.window)
            pairs += cache.layers * tokens * attended_tokens / 2
        if self.model.encoder:
            pairs = self.model.layers * tokens * tokens
        operations = 4 * self.model.heads * self.model.head_dim * pairs
        return operations / (self.card.bf16_tflops * 1e12 * self.fit.compute * 0.6 * self.tensor_parallel)

    def _besides(self, tokens: float) -> float:
        """Return milliseconds of starting kernels and of sums over the group."""
        kernel_ms = self.fit.step_ms + self.model.layers * self.fit.layer_us / 1000
        if self.tensor_parallel == 1:
            return kernel_ms
        hops = 2 * self.model.layers
        moved_bytes = (
            hops * tokens * self.model.hidden * 2 * 2 * (self.tensor_parallel - 1) / self.tensor_parallel
        )
        hop_us = self.fit.hop_us * (1.0 if self.card.nvlink else 3.0) * math.log2(self.tensor_parallel)
        return (
            kernel_ms
            + hops * hop_us / 1000
            + 1000 * moved_bytes / (self.card.link_gb_s * 1e9 * self.fit.link)
        )
