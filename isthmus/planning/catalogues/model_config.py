"""Reads the architecture of a model from its Hugging Face `config.json`.

Parameters are counted from the shapes that the model's code gives its layers. Biases, rotary embeddings and attention
sinks are left out (below 0.1 % of all). An unlisted `model_type` is an error: its layers would be sized wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.core.errors import InputError
from isthmus.planning.catalogues import model_feed_forward as feed_forward
from isthmus.planning.catalogues.architecture import Architecture, Cache
from isthmus.planning.catalogues.model_config_reader import UNGATED, ConfigReader, Shape

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
"""Llama 4's default, if the configuration does not state `attention_chunk_size`."""
_STATE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def architecture(config: Config, where: str = "config.json") -> Architecture:
    """Return the architecture of a model's text part.

    Raises `InputError` for an unknown `model_type`, a key that is missing or not a positive number, and a part that is
    not built as in files of this type.
    """
    text_config = _text_config(config)
    read = ConfigReader(text_config, where)
    if read.kind not in KNOWN:
        from isthmus.core.validation_errors import did_you_mean

        if not read.kind:
            raise InputError(
                "`model_type` is missing, so Isthmus cannot size the model",
                where=where,
                fix=f"Set it as the model's own `config.json` has it. Supported types: {', '.join(sorted(KNOWN))}",
            )
        raise InputError(
            f"`model_type` is `{read.kind}`, which Isthmus cannot size",
            where=where,
            fix=f"{did_you_mean(read.kind, sorted(KNOWN))} Supported types: {', '.join(sorted(KNOWN))}".strip(),
        )
    try:
        return _encoder(read) if read.kind in ENCODERS else _decoder(read)
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise InputError(
            f"a part is not as in files of the type `{read.kind}` ({type(error).__name__}: {error})",
            where=where,
            fix="Take the file from the model's own repository",
        ) from None


def _text_config(config: Config) -> dict[str, Any]:
    """Return the keys of the text model, completed by the keys around them."""
    text_config = config.get("text_config")
    outer = {key: value for key, value in config.items() if not isinstance(value, dict) or "rope" in key}
    merged = {**outer, **(text_config if isinstance(text_config, dict) else {})}
    return {key: value for key, value in merged.items() if value is not None}


def _decoder(read: ConfigReader) -> Architecture:
    shape = Shape(read)
    vocabulary = read.positive("vocab_size")
    table = vocabulary * shape.hidden
    tied = read.flag("tie_word_embeddings", default=read.kind.startswith("gemma"))
    kinds = _layer_kinds(read, shape.layers)
    dense, experts, width = feed_forward.feed_forward_parameters(read, shape)
    caches, attention = _attentions(read, shape, kinds)
    count = feed_forward.expert_count(read)
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
        attention_layers=sum(cache.layers for cache in caches if cache.kind != "state"),
    )


def _layer_kinds(read: ConfigReader, layers: int) -> list[str]:
    """Return the mixer of each layer: `full`, `window`, `state`, or `none` (a feed-forward layer)."""
    pattern = read.config.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        # A letter a layer: Mamba, attention, a dense feed-forward, experts.
        return [{"M": "state", "*": "full"}.get(letter, "none") for letter in pattern]
    key = "layer_types" if read.config.get("layer_types") else "layers_block_type"
    types = read.config.get(key)
    if isinstance(types, list):
        if len(types) < layers:
            raise InputError(
                f"`{key}` lists {len(types)} layers, but the model has {layers}",
                where=read.where,
                fix="Use the complete config.json from the model's repository",
            )
        return [_layer_kind(read, str(layer_type)) for layer_type in types[:layers]]
    if read.has("full_attention_interval"):
        interval = read.positive("full_attention_interval")
        return ["full" if (index + 1) % interval == 0 else "state" for index in range(layers)]
    if read.kind.startswith("llama4"):
        # Three of four layers attend within a chunk; the fourth sees all and knows no positions.
        return ["full" if (index + 1) % 4 == 0 else "window" for index in range(layers)]
    if read.kind == "gemma2":
        return ["window" if index % 2 == 0 else "full" for index in range(layers)]
    if read.has("sliding_window_pattern") or read.kind in ("gemma3", "gemma3_text", "cohere2"):
        interval = read.positive("sliding_window_pattern", default=6 if read.kind.startswith("gemma3") else 4)
        return ["full" if (index + 1) % interval == 0 else "window" for index in range(layers)]
    windowed = read.has("sliding_window") and read.flag("use_sliding_window", default=True)
    # Qwen2 and Phi-3 name a window that their engines do not use.
    return ["window" if windowed and read.kind == "mistral" else "full"] * layers


def _layer_kind(read: ConfigReader, name: str) -> str:
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
            f"layer type `{name}` is not supported, so the model cannot be sized",
            where=read.where,
            fix="Choose another model",
        )
    return kinds[name]


def _attentions(read: ConfigReader, shape: Shape, kinds: list[str]) -> tuple[tuple[Cache, ...], int]:
    """Return what the layers cache, and the parameters of all their mixers."""
    if read.has("block_configs"):
        return _varied_attentions(read, shape)
    llama4 = read.kind.startswith("llama4")
    full, window, state = (kinds.count(kind) for kind in ("full", "window", "state"))
    caches: list[Cache] = []
    parameters = 0
    if read.has("kv_lora_rank"):
        latent = read.positive("kv_lora_rank") + read.positive("qk_rope_head_dim")
        latent_caches = [Cache("latent", full, elements=latent)]
        if read.has("index_head_dim"):
            # DeepSeek V3.2: an indexer keeps a key of its own for each token, with a scale.
            latent_caches.append(Cache("latent", full, elements=read.positive("index_head_dim")))
        return tuple(latent_caches), full * _latent_attention_parameters(read, shape)
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
        state_size, layer_parameters = (
            _mamba_layer(read, shape)
            if read.has("mamba_num_heads", "mamba_n_heads")
            else _linear_attention_layer(read, shape)
        )
        dtype = str(
            read.config.get("mamba_ssm_cache_dtype") or read.config.get("mamba_ssm_dtype") or "bfloat16"
        )
        caches.append(Cache("state", state, state=state_size, state_bytes=_STATE_BYTES.get(dtype, 4)))
        parameters += state * layer_parameters
    return tuple(caches), parameters


def _latent_attention_parameters(read: ConfigReader, shape: Shape) -> int:
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


def _mamba_layer(read: ConfigReader, shape: Shape) -> tuple[int, int]:
    """Numbers that one Mamba-2 layer keeps, and its parameters."""
    heads = read.positive("mamba_num_heads", "mamba_n_heads")
    dim = read.positive("mamba_head_dim", "mamba_d_head")
    groups = read.positive("n_groups", "mamba_n_groups", default=1)
    size = read.positive("ssm_state_size", "mamba_d_state")
    kernel = read.positive("conv_kernel", "mamba_d_conv", default=4)
    inner, mixed = heads * dim, heads * dim + 2 * groups * size
    parameters = shape.hidden * (inner + mixed + heads) + mixed * kernel + inner * shape.hidden
    return heads * dim * size + mixed * (kernel - 1), parameters


def _linear_attention_layer(read: ConfigReader, shape: Shape) -> tuple[int, int]:
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


def _varied_attentions(read: ConfigReader, shape: Shape) -> tuple[tuple[Cache, ...], int]:
    """Nemotron models found by architecture search: layers without attention, or with fewer heads."""
    by_heads: dict[int, int] = {}
    for block in read.config["block_configs"]:
        attention = block["attention"]
        if not attention.get("no_op") and not attention.get("replace_with_linear"):
            heads = shape.heads // int(attention["n_heads_in_group"])
            by_heads[heads] = by_heads.get(heads, 0) + 1
    caches = tuple(
        Cache("full", n, heads=kv, elements=2 * shape.head_dim) for kv, n in sorted(by_heads.items())
    )
    return caches, sum(n * shape.attention(kv) for kv, n in by_heads.items())


def _encoder(read: ConfigReader) -> Architecture:
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
