"""Bytes of weights by precision, including the parameters that stay in 16 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.planning.catalogues.architecture import Architecture

BYTES = {
    "bf16": 2.0,
    # One scale for each channel or block of 128 x 128: below 0.1 %.
    "fp8": 1.0,
    "int8": 1.0,
    # Groups of 128 with a scale of 16 bits and a zero point of 4: AWQ's and GPTQ's usual form.
    "int4": 0.5 + 20 / 128 / 8,
    # Blocks of 16 with a scale of 8 bits.
    "nvfp4": 0.5 + 8 / 16 / 8,
    # Blocks of 32 with a scale of 8 bits (OCP microscaling).
    "mxfp4": 0.5 + 8 / 32 / 8,
}
"""Bytes of one quantised parameter, including its share of the scales."""

CACHE_BYTES = {"auto": 2.0, "bf16": 2.0, "fp8": 1.0}
"""Bytes of one element of the key-value cache; `auto`: the model's own 16 bits."""


def weight_bytes(model: Architecture, precision: str) -> float:
    """Return the bytes of all weights. Raises `KeyError` for an unknown precision.

    Embeddings stay in 16 bits in all published quantisations of the catalogue. MXFP4 applies to experts only (gpt-oss).
    """
    quantised = BYTES[precision]
    dense = 2.0 if precision == "mxfp4" else quantised
    # The experts of gpt-oss are 2,880 wide; its kernels pad them to 3,072.
    filled = 3072 / 2880 if precision == "mxfp4" and model.kind == "gpt_oss" else 1.0
    return model.embedding * 2.0 + model.dense * dense + model.experts * quantised * filled


def active_bytes(model: Architecture, precision: str, tokens: float) -> float:
    """Return the bytes of weights that one step over `tokens` tokens reads.

    Only experts that receive a token are read. Tokens are assumed to choose experts at random.
    """
    quantised = BYTES[precision]
    dense = 2.0 if precision == "mxfp4" else quantised
    read = model.dense * dense + model.head * 2.0
    if model.expert_count:
        missed = (1 - model.experts_per_token / model.expert_count) ** tokens
        read += model.experts * quantised * (1 - missed)
    return read
