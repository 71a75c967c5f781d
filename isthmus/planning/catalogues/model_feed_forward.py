"""Counts the parameters of a model's feed-forward layers: dense, shared and routed experts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.planning.catalogues.model_config_reader import UNGATED, ConfigReader, Shape


def expert_count(read: ConfigReader) -> int:
    """Return the number of routed experts of a layer; 0 for a dense model."""
    return read.number("num_local_experts", "num_experts", "n_routed_experts", default=0)


def feed_forward_parameters(read: ConfigReader, shape: Shape) -> tuple[int, int, int]:
    """Return the parameters of dense and shared layers, those of routed experts, and the widest layer of a token."""
    matrices = 2 if read.kind in UNGATED else 3
    if read.has("block_configs"):
        widths = [_block_width(block["ffn"], shape.hidden) for block in read.config["block_configs"]]
        return sum(shape.feed_forward(width, matrices) for width in widths), 0, max(widths)
    sparse = _sparse_layers(read, shape.layers)
    plain = _dense_layers(read, shape.layers) - (0 if _has_dense_beside_experts(read) else sparse)
    width = read.number("intermediate_size_mlp", "intermediate_size", default=0)
    dense = plain * shape.feed_forward(width, matrices)
    if not sparse:
        return dense, 0, width
    expert_width = read.positive("moe_intermediate_size", "intermediate_size")
    count, experts_per_token = (
        expert_count(read),
        read.number("num_experts_per_tok", "top_k_experts", default=1),
    )
    shared = _shared_width(read, expert_width)
    # The experts of Nemotron 3 Super work in a narrower space, with one matrix into it and one out of it.
    expert_input = read.positive("moe_latent_size", default=shape.hidden)
    latent_matrices = 2 * shape.hidden * expert_input if read.has("moe_latent_size") else 0
    dense += sparse * (shape.feed_forward(shared, matrices) + shape.hidden * count + latent_matrices)
    routed = sparse * count * matrices * expert_input * expert_width
    return dense, routed, max(width if plain else 0, experts_per_token * expert_width + shared)


def _has_dense_beside_experts(read: ConfigReader) -> bool:
    """Whether a layer has a dense feed-forward in addition to its experts, as in Gemma 4."""
    return read.flag("enable_moe_block")


def _shared_width(read: ConfigReader, expert_width: int) -> int:
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
    return read.number("n_shared_experts", default=0) * expert_width


def _layer_letters(read: ConfigReader) -> str:
    """Return a letter for each layer (M, *, E, -) of models with separate feed-forward layers; else an empty string."""
    pattern = read.config.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        return pattern
    names = {"mamba": "M", "attention": "*", "moe": "E", "mlp": "-"}
    types = read.config.get("layers_block_type")
    return "".join(names.get(str(layer_type), "?") for layer_type in types) if isinstance(types, list) else ""


def _dense_layers(read: ConfigReader, layers: int) -> int:
    """Return the number of layers with a feed-forward of any kind."""
    letters = _layer_letters(read)
    return sum(letter in "-E" for letter in letters) if letters else layers


def _sparse_layers(read: ConfigReader, layers: int) -> int:
    """Return the number of layers with routed experts."""
    if not expert_count(read):
        return 0
    if letters := _layer_letters(read):
        return letters.count("E")
    if read.has("first_k_dense_replace"):
        return layers - read.number("first_k_dense_replace")
    if read.kind.startswith("llama4"):
        return layers // read.positive("interleave_moe_layer_step", default=1)
    dense_only = read.config.get("mlp_only_layers") or []
    step = read.positive("decoder_sparse_step", default=1)
    return sum((index + 1) % step == 0 and index not in dense_only for index in range(layers))


def _block_width(block: Mapping[str, Any], hidden: int) -> int:
    """Return DeciLM's width: two thirds of a multiple of the hidden size, rounded up to 256."""
    if block.get("no_op"):
        return 0
    raw = int(2 * float(block["ffn_mult"]) * hidden / 3)
    return -(-raw // 256) * 256
