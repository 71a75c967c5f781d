"""Parameters of a model's feed-forward layers: dense, shared by all tokens, and of routed experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.planning.catalogues.model_config_reader import UNGATED, Read, Shape


def experts(read: Read) -> int:
    """How many experts a layer routes to; 0 for a dense model."""
    return read.number("num_local_experts", "num_experts", "n_routed_experts", default=0)


def layers(read: Read, shape: Shape) -> tuple[int, int, int]:
    """Parameters of dense and shared feed-forward layers, of all routed experts; and the widest of a token."""
    matrices = 2 if read.kind in UNGATED else 3
    if read.has("block_configs"):
        widths = [_block_width(block["ffn"], shape.hidden) for block in read.told["block_configs"]]
        return sum(shape.feed_forward(width, matrices) for width in widths), 0, max(widths)
    sparse = _sparse_layers(read, shape.layers)
    plain = _dense_layers(read, shape.layers) - (0 if _both(read) else sparse)
    width = read.number("intermediate_size_mlp", "intermediate_size", default=0)
    dense = plain * shape.feed_forward(width, matrices)
    if not sparse:
        return dense, 0, width
    of_expert = read.positive("moe_intermediate_size", "intermediate_size")
    count, used = experts(read), read.number("num_experts_per_tok", "top_k_experts", default=1)
    shared = _shared_width(read, of_expert)
    # Nemotron 3 Super: its experts work in a narrower space, with a matrix into it and one out of it.
    narrow = read.positive("moe_latent_size", default=shape.hidden)
    between = 2 * shape.hidden * narrow if read.has("moe_latent_size") else 0
    dense += sparse * (shape.feed_forward(shared, matrices) + shape.hidden * count + between)
    routed = sparse * count * matrices * narrow * of_expert
    return dense, routed, max(width if plain else 0, used * of_expert + shared)


def _both(read: Read) -> bool:
    """Gemma 4: a layer has a dense feed-forward beside its experts."""
    return read.flag("enable_moe_block")


def _shared_width(read: Read, of_expert: int) -> int:
    """Width of the experts that every token passes."""
    if read.kind.startswith("llama4"):
        return read.positive("intermediate_size")
    for name in (
        "moe_shared_expert_intermediate_size",
        "shared_expert_intermediate_size",
        "shared_intermediate_size",
    ):
        if read.has(name):
            return read.number(name)
    return read.number("n_shared_experts", default=0) * of_expert


def _letters(read: Read) -> str:
    """A letter a layer (M, *, E, -) where feed-forward layers stand alone; empty for models that have both in each."""
    pattern = read.told.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        return pattern
    names = {"mamba": "M", "attention": "*", "moe": "E", "mlp": "-"}
    types = read.told.get("layers_block_type")
    return "".join(names.get(str(each), "?") for each in types) if isinstance(types, list) else ""


def _dense_layers(read: Read, layers: int) -> int:
    """Layers that have a feed-forward, of whichever kind."""
    letters = _letters(read)
    return sum(letter in "-E" for letter in letters) if letters else layers


def _sparse_layers(read: Read, layers: int) -> int:
    """Layers with routed experts."""
    if not experts(read):
        return 0
    if letters := _letters(read):
        return letters.count("E")
    if read.has("first_k_dense_replace"):
        return layers - read.number("first_k_dense_replace")
    if read.kind.startswith("llama4"):
        return layers // read.positive("interleave_moe_layer_step", default=1)
    alone = read.told.get("mlp_only_layers") or []
    step = read.positive("decoder_sparse_step", default=1)
    return sum((at + 1) % step == 0 and at not in alone for at in range(layers))


def _block_width(block: Mapping[str, Any], hidden: int) -> int:
    """DeciLM's: two thirds of a multiple of the hidden size, rounded up to 256."""
    if block.get("no_op"):
        return 0
    raw = int(2 * float(block["ffn_mult"]) * hidden / 3)
    return -(-raw // 256) * 256
