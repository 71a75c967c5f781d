"""A model's `config.json`, as the Hugging Face hub has it, to its architecture.

Parameters are counted from the shapes that the model's own code gives its layers; biases and the few
numbers of rotary and attention sinks are left out (below 0.1 % of the whole). A `model_type` that is not
listed here is an error: layers of an unknown kind would be sized wrongly without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.core.errors import InputError
from isthmus.planning.catalogues import model_feed_forward as feed_forward
from isthmus.planning.catalogues.architecture import Architecture, Cache
from isthmus.planning.catalogues.model_config_reader import UNGATED, Read, Shape

Config = Mapping[str, Any]

DENSE = {
    *("llama", "mistral", "mistral3", "ministral", "ministral3", "qwen2", "qwen3", "qwen3_vl_text", "phi3"),
    *(
        "gemma",
        "gemma2",
        "gemma3",
        "gemma3_text",
        "granite",
        "cohere",
        "cohere2",
        "olmo2",
        "olmo3",
        "smollm3",
    ),
    *("glm4", "internlm3", "exaone4", "nemotron-nas", "mllama_text_model"),
}
MOE = {
    *("mixtral", "qwen2_moe", "qwen3_moe", "qwen3_vl_moe_text", "gpt_oss", "llama4", "llama4_text"),
    *(
        "deepseek_v2",
        "deepseek_v3",
        "deepseek_v32",
        "glm_moe_dsa",
        "kimi_k2",
        "glm4_moe",
        "granitemoe",
        "minimax_m2",
        "gemma4_text",
    ),
}
HYBRID = {"nemotron_h", "qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "granitemoehybrid"}
ENCODERS = {"bert", "roberta", "xlm-roberta", "modernbert", "nomic_bert", "new"}
KNOWN = DENSE | MOE | HYBRID | ENCODERS

_CHUNK = 8192
"""Llama 4's own default, where a configuration does not say it."""
_STATE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def architecture(config: Config, where: str = "config.json") -> Architecture:
    """The architecture of a model's text part.

    Raises `InputError` for an unknown `model_type`, a key that is missing or no positive number.
    """
    told = _text(config)
    read = Read(told, where)
    if read.kind not in KNOWN:
        from isthmus.core.validation_errors import did_you_mean

        raise InputError(
            f"models of the type `{read.kind}` are not known",
            where=where,
            fix=f"{did_you_mean(read.kind, sorted(KNOWN))} Known: {', '.join(sorted(KNOWN))}".strip(),
        )
    return _encoder(read) if read.kind in ENCODERS else _decoder(read)


def _text(config: Config) -> dict[str, Any]:
    """The text model's own keys; those of the whole where it has none."""
    inner = config.get("text_config")
    whole = {key: value for key, value in config.items() if not isinstance(value, dict) or "rope" in key}
    told = {**whole, **(inner if isinstance(inner, dict) else {})}
    return {key: value for key, value in told.items() if value is not None}


def _decoder(read: Read) -> Architecture:
    shape = Shape(read)
    vocabulary = read.positive("vocab_size")
    table = vocabulary * shape.hidden
    tied = read.flag("tie_word_embeddings", default=read.kind.startswith("gemma"))
    kinds = _layer_kinds(read, shape.layers)
    dense, experts, width = feed_forward.layers(read, shape)
    caches, attention = _attentions(read, shape, kinds)
    count = feed_forward.experts(read)
    return Architecture(
        kind=read.kind,
        layers=shape.layers,
        hidden=shape.hidden,
        heads=shape.heads,
        head_dim=shape.head_dim,
        vocabulary=vocabulary,
        embedding=table if tied else 2 * table,
        head=table,
        dense=attention + dense + shape.hidden * (2 * shape.layers + 1),
        experts=experts,
        expert_count=count if experts else 0,
        experts_per_token=read.number("num_experts_per_tok", "top_k_experts", default=1) if experts else 0,
        caches=caches,
        context=read.positive("max_position_embeddings"),
        feed_forward=width,
        attention_layers=sum(each.layers for each in caches if each.kind != "state"),
    )


def _layer_kinds(read: Read, layers: int) -> list[str]:
    """What each layer's mixer is: `full`, `window`, `state`, or `none` (a feed-forward layer alone)."""
    pattern = read.told.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        # A letter a layer: Mamba, attention, a dense feed-forward, experts.
        return [{"M": "state", "*": "full"}.get(letter, "none") for letter in pattern]
    types = read.told.get("layer_types") or read.told.get("layers_block_type")
    if isinstance(types, list):
        if len(types) < layers:
            raise InputError(
                f"`layer_types` names {len(types)} layers of {layers}",
                where=read.where,
                fix="Take the whole file",
            )
        return [_layer_kind(read, str(each)) for each in types[:layers]]
    if read.has("full_attention_interval"):
        every = read.positive("full_attention_interval")
        return ["full" if (at + 1) % every == 0 else "state" for at in range(layers)]
    if read.kind.startswith("llama4"):
        # Three of four layers attend within a chunk; the fourth sees all and knows no positions.
        return ["full" if (at + 1) % 4 == 0 else "window" for at in range(layers)]
    if read.kind == "gemma2":
        return ["window" if at % 2 == 0 else "full" for at in range(layers)]
    if read.has("sliding_window_pattern") or read.kind in ("gemma3", "gemma3_text", "cohere2"):
        every = read.positive("sliding_window_pattern", default=6 if read.kind.startswith("gemma3") else 4)
        return ["full" if (at + 1) % every == 0 else "window" for at in range(layers)]
    windowed = read.has("sliding_window") and read.flag("use_sliding_window", default=True)
    # Qwen2 and Phi-3 name a window that their engines do not use.
    return ["window" if windowed and read.kind == "mistral" else "full"] * layers


def _layer_kind(read: Read, name: str) -> str:
    kinds = {
        "full_attention": "full",
        "attention": "full",
        "sliding_attention": "window",
        "chunked_attention": "window",
        "linear_attention": "state",
        "mamba": "state",
        "mlp": "none",
        "moe": "none",
    }
    if name not in kinds:
        raise InputError(
            f"layers of the type `{name}` are not known", where=read.where, fix="Choose another model"
        )
    return kinds[name]


def _attentions(read: Read, shape: Shape, kinds: list[str]) -> tuple[tuple[Cache, ...], int]:
    """What the layers keep, and the parameters of all their mixers."""
    if read.has("block_configs"):
        return _varied(read, shape)
    llama4 = read.kind.startswith("llama4")
    full, window, state = (kinds.count(each) for each in ("full", "window", "state"))
    caches: list[Cache] = []
    parameters = 0
    if read.has("kv_lora_rank"):
        latent = read.positive("kv_lora_rank") + read.positive("qk_rope_head_dim")
        found = [Cache("latent", full, elements=latent)]
        if read.has("index_head_dim"):
            # DeepSeek V3.2: an indexer keeps a key of its own for each token, with a scale.
            found.append(Cache("latent", full, elements=read.positive("index_head_dim")))
        return tuple(found), full * _latent(read, shape)
    gate = read.flag(
        "attn_output_gate", default=read.kind in ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text")
    )
    # Gemma 4: the layers that see all have heads of their own, whose values are their keys.
    dim = read.positive("global_head_dim", default=shape.head_dim)
    kv = read.positive("num_global_key_value_heads", default=shape.kv_heads)
    if full:
        caches.append(Cache("full", full, heads=kv, elements=2 * dim))
        spared = shape.hidden * dim * kv if read.flag("attention_k_eq_v") else 0
        parameters += full * (shape.attention(kv, dim, gate=gate) - spared)
    if window:
        size = read.positive("attention_chunk_size", "sliding_window", default=_CHUNK if llama4 else None)
        caches.append(Cache("window", window, heads=shape.kv_heads, elements=2 * shape.head_dim, window=size))
        parameters += window * shape.attention(gate=gate)
    if state:
        kept, of_layer = (
            _mamba(read, shape) if read.has("mamba_num_heads", "mamba_n_heads") else _linear(read, shape)
        )
        dtype = str(read.told.get("mamba_ssm_cache_dtype") or read.told.get("mamba_ssm_dtype") or "bfloat16")
        caches.append(Cache("state", state, state=kept, state_bytes=_STATE_BYTES.get(dtype, 4)))
        parameters += state * of_layer
    return tuple(caches), parameters


def _latent(read: Read, shape: Shape) -> int:
    """Parameters of one layer of multi-head latent attention (DeepSeek-V2's paper, section 2.1)."""
    rank, rope = read.positive("kv_lora_rank"), read.positive("qk_rope_head_dim")
    plain, value = read.positive("qk_nope_head_dim"), read.positive("v_head_dim")
    query = shape.heads * (plain + rope)
    narrow = read.number("q_lora_rank", default=0)
    queries = narrow * (shape.hidden + query) if narrow else shape.hidden * query
    keys = shape.hidden * (rank + rope) + rank * shape.heads * (plain + value)
    index = read.number("index_n_heads", default=0) * read.number("index_head_dim", default=0)
    indexer = narrow * index + shape.hidden * read.number("index_head_dim", default=0)
    return queries + keys + shape.heads * value * shape.hidden + indexer


def _mamba(read: Read, shape: Shape) -> tuple[int, int]:
    """Numbers that one Mamba-2 layer keeps, and its parameters."""
    heads = read.positive("mamba_num_heads", "mamba_n_heads")
    dim = read.positive("mamba_head_dim", "mamba_d_head")
    groups = read.positive("n_groups", "mamba_n_groups", default=1)
    size = read.positive("ssm_state_size", "mamba_d_state")
    kernel = read.positive("conv_kernel", "mamba_d_conv", default=4)
    inner, mixed = heads * dim, heads * dim + 2 * groups * size
    parameters = shape.hidden * (inner + mixed + heads) + mixed * kernel + inner * shape.hidden
    return heads * dim * size + mixed * (kernel - 1), parameters


def _linear(read: Read, shape: Shape) -> tuple[int, int]:
    """Numbers that one layer of gated delta rule keeps, and its parameters (Qwen3-Next's code)."""
    keys, values = read.positive("linear_num_key_heads"), read.positive("linear_num_value_heads")
    key_dim, value_dim = read.positive("linear_key_head_dim"), read.positive("linear_value_head_dim")
    kernel = read.positive("linear_conv_kernel_dim", default=4)
    mixed = 2 * keys * key_dim + values * value_dim
    parameters = (
        shape.hidden * (mixed + values * value_dim + 2 * values)
        + mixed * kernel
        + values * value_dim * shape.hidden
    )
    return values * key_dim * value_dim + mixed * (kernel - 1), parameters


def _varied(read: Read, shape: Shape) -> tuple[tuple[Cache, ...], int]:
    """Nemotron models found by architecture search: layers without attention, or with fewer heads."""
    by_heads: dict[int, int] = {}
    for block in read.told["block_configs"]:
        attention = block["attention"]
        if not attention.get("no_op") and not attention.get("replace_with_linear"):
            heads = shape.heads // int(attention["n_heads_in_group"])
            by_heads[heads] = by_heads.get(heads, 0) + 1
    caches = tuple(
        Cache("full", n, heads=kv, elements=2 * shape.head_dim) for kv, n in sorted(by_heads.items())
    )
    return caches, sum(n * shape.attention(kv) for kv, n in by_heads.items())


def _encoder(read: Read) -> Architecture:
    hidden = read.positive("hidden_size", "n_embd")
    layers = read.layers("n_layer")
    heads = read.positive("num_attention_heads", "n_head")
    width = read.number("intermediate_size", "n_inner", default=4 * hidden)
    vocabulary, context = read.positive("vocab_size"), read.positive("max_position_embeddings", "n_positions")
    gated = read.kind not in UNGATED
    rotary = read.kind in ("modernbert", "nomic_bert", "new")
    embedding = (vocabulary + (0 if rotary else context)) * hidden
    return Architecture(
        kind=read.kind,
        layers=layers,
        hidden=hidden,
        heads=heads,
        head_dim=hidden // heads,
        vocabulary=vocabulary,
        embedding=embedding,
        head=0,
        dense=layers * (4 * hidden * hidden + (3 if gated else 2) * hidden * width),
        experts=0,
        expert_count=0,
        experts_per_token=0,
        caches=(),
        context=context,
        feed_forward=width,
        attention_layers=layers,
        encoder=True,
    )
