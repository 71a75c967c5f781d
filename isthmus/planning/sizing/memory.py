"""Computes the memory of one GPU when vLLM serves a model, and what remains for the key-value cache.

vLLM uses `gpu_memory_utilization` of a GPU, loads the weights, runs the largest possible step, and gives the rest to
the cache. This model does the same. Weights and cache follow from the architecture. The peak of the step, the memory
outside PyTorch and the captured graphs were fitted to logs (tests/planning/data/memory_rows.json).
It answers whether the engine starts (one sequence of the maximum length fits), and how many sequences fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from isthmus.planning.catalogues.architecture import Architecture, Cache
from isthmus.planning.catalogues.precision import CACHE_BYTES, weight_bytes

GIB = float(1 << 30)
BLOCK_TOKENS = 16
"""Tokens of a block of the cache."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter that the engine keeps loaded."""

    rank: int
    size_mib: float


@dataclass(frozen=True)
class Settings:
    """Engine settings that affect memory. `None`: vLLM's default for the card."""

    max_model_len: int
    """Tokens of prompt and answer together."""
    utilization: float = 0.9
    """Part of the card's memory that the engine may take."""
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    cache_dtype: str = "auto"
    graphs: bool = True
    """CUDA graphs are captured (not `--enforce-eager`)."""
    adapters: Sequence[Adapter] = field(default=())
    engine: tuple[int, int] = (0, 33)
    """Version of vLLM. Before 0.17, sampling took 2.5 times the memory."""


@dataclass(frozen=True)
class Memory:
    """Memory of one GPU in GiB, and what follows. If GPUs of the group differ, the fullest one."""

    usable: float
    weights: float
    activations: float
    outside: float
    """Outside PyTorch: the driver's context, libraries, communication buffers."""
    graphs: float
    """Captured graphs. They are allocated after the cache, from the memory that `utilization` leaves free."""
    adapters: float
    cache: float
    """Left for the cache; negative if the rest does not fit."""
    cache_tokens: int
    """As the engine's log counts them: in whole blocks, with windowed layers counted as full ones."""
    longest: float
    """Cache that one sequence of `max_model_len` needs."""
    starts: bool
    why: str
    """Why the engine does not start; empty if it does."""


def measure_memory(
    model: Architecture,
    *,
    precision: str,
    usable_mib: float,
    settings: Settings,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    large_card: bool = True,
    extra_bytes: float = 0.0,
) -> Memory:
    """Return the memory of one GPU of a replica over `tensor_parallel` x `pipeline_parallel` GPUs.

    `usable_mib`: memory that CUDA reports for the card or its MIG slice. `large_card`: a card of at least 70 GiB, but
    not an A100, for which vLLM has larger defaults. `extra_bytes`: weights in addition to the text model's.
    """
    usable = usable_mib / 1024
    weights = (
        _weights_gib(model, precision, tensor_parallel, pipeline_parallel)
        + extra_bytes / tensor_parallel / pipeline_parallel / GIB
    )
    activations = _activations_gib(model, settings, tensor_parallel, large_card=large_card)
    outside = _outside_pytorch_gib(tensor_parallel)
    graphs = _graphs_gib(model, settings)
    adapters = sum(adapter.size_mib for adapter in settings.adapters) / 1024 / tensor_parallel
    budget = usable * settings.utilization
    cache = budget - weights - activations - outside - adapters
    element_bytes = CACHE_BYTES[settings.cache_dtype]
    tokens = cache_tokens(model, cache * GIB, tensor_parallel, pipeline_parallel, element_bytes)
    longest = (
        sequence_cache_bytes(model, settings.max_model_len, tensor_parallel, pipeline_parallel, element_bytes)
        / GIB
    )
    failure = _start_failure(
        usable, weights, cache, longest, graphs + _late_gib(model, settings, large_card=large_card), settings
    )
    return Memory(
        usable,
        weights,
        activations,
        outside,
        graphs,
        adapters,
        cache,
        tokens,
        longest,
        starts=not failure,
        why=failure,
    )


def _start_failure(
    usable: float, weights: float, cache: float, longest: float, late_gib: float, settings: Settings
) -> str:
    if weights >= usable:
        return f"the weights take {weights:.1f} GiB of a GPU that has {usable:.1f}"
    if cache <= 0:
        return f"{weights:.1f} GiB of weights leave no cache on a GPU with {usable:.1f} GiB"
    if longest > cache:
        sequence = f"one sequence of {settings.max_model_len:,} tokens"
        return f"{sequence} needs {longest:.2f} GiB of cache, and {cache:.2f} GiB are left"
    free = usable * (1 - settings.utilization) + 0.5
    if late_gib > free:
        return (
            f"graphs and kernels allocated after the cache take {late_gib:.1f} GiB, and {free:.1f} GiB are free: lower "
            "the utilization"
        )
    return ""


def _weights_gib(model: Architecture, precision: str, tensor_parallel: int, pipeline_parallel: int) -> float:
    """Return GiB of weights on the fullest GPU. The first stage has the input embedding, the last the output's."""
    total_bytes = weight_bytes(model, precision)
    embedding = model.embedding * 2.0
    stages = max(1, pipeline_parallel)
    share = math.ceil(model.layers / stages) / model.layers
    stage = (total_bytes - embedding) * share + (
        embedding if stages == 1 else model.vocabulary * model.hidden * 2.0
    )
    repeated = _repeated_head_bytes(model, tensor_parallel) * share
    return (stage / tensor_parallel + repeated) / GIB


def _repeated_head_bytes(model: Architecture, tensor_parallel: int) -> float:
    """Return bytes of key and value matrices that a GPU replicates because there are fewer heads than GPUs."""
    extra_bytes = 0.0
    for cache in model.caches:
        if cache.kind in ("full", "window") and cache.heads < tensor_parallel:
            own_share = cache.heads / tensor_parallel
            extra_bytes += cache.layers * cache.elements * model.hidden * 2.0 * (1 - own_share)
    return extra_bytes


def sequence_cache_bytes(
    model: Architecture, tokens: int, tensor_parallel: int, pipeline_parallel: int, element_bytes: float
) -> float:
    """Return the bytes of cache that one sequence takes on a GPU, in whole blocks."""
    blocks = math.ceil(tokens / BLOCK_TOKENS) * BLOCK_TOKENS
    return model.cache_of_sequence(blocks, tensor_parallel, element_bytes) / pipeline_parallel


def max_running_requests(
    model: Architecture,
    memory_use: Memory,
    tokens: int,
    limit: int,
    tensor_parallel: int,
    pipeline_parallel: int = 1,
    element_bytes: float = 2.0,
) -> float:
    """Return how many requests of `tokens` the cache holds at once, at most `limit`. An encoder has no cache."""
    if model.encoder:
        return limit
    sequence_bytes = sequence_cache_bytes(model, tokens, tensor_parallel, pipeline_parallel, element_bytes)
    return max(1.0, min(limit, memory_use.cache * GIB / sequence_bytes))


def cache_tokens(
    model: Architecture,
    cache_bytes: float,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    element_bytes: float = 2.0,
) -> int:
    """Return the tokens that a cache of `cache_bytes` on each GPU holds, as vLLM logs them; 0 for an encoder."""
    token_bytes = _logged_token_elements(model.caches, tensor_parallel) * element_bytes / pipeline_parallel
    if token_bytes <= 0 or cache_bytes <= 0:
        return 0
    return int(cache_bytes / token_bytes / BLOCK_TOKENS) * BLOCK_TOKENS


def _logged_token_elements(caches: Sequence[Cache], tensor_parallel: int) -> float:
    """Return the elements of one token in vLLM's pool of pages.

    Layers of several kinds share one pool. vLLM groups as many layers as the rarest kind has (or the most common kind,
    if it has less than 1.25 times as many). Each page serves one group, and the log counts a token once in every group
    (vLLM 0.19, `kv_cache_utils.py`). Layers with a state use pages too.
    """
    present = [cache for cache in caches if cache.layers]
    token_caches = [cache for cache in present if cache.kind != "state"]
    if not token_caches:
        return 0.0
    if len(present) == 1 or all(cache.kind == "latent" for cache in present):
        return float(sum(cache.of_token(tensor_parallel) for cache in present))
    fewest_layers, most_layers = (
        min(cache.layers for cache in present),
        max(cache.layers for cache in present),
    )
    size = most_layers if most_layers < fewest_layers * 1.25 else fewest_layers
    groups = sum(math.ceil(cache.layers / size) for cache in present)
    widest = max(cache.of_token(tensor_parallel) / cache.layers for cache in token_caches)
    return groups * size * widest


# -- fitted to logs; see docs/sizing.md


def _activations_gib(
    model: Architecture, settings: Settings, tensor_parallel: int, *, large_card: bool
) -> float:
    """Return GiB of the largest step at its peak, in the feed-forward layers or in sampling."""
    tokens = settings.max_num_batched_tokens or (8192 if large_card else 2048)
    sequences = settings.max_num_seqs or (1024 if large_card else 256)
    feed_forward_bytes = tokens * (6 * model.hidden + 3 * model.feed_forward / tensor_parallel) * 2.0
    # Every GPU holds the logits of all sequences in 32 bits, with copies for sorting and summing.
    bytes_per_logit = 39.0 if settings.engine < (0, 17) else 15.6
    sampling_bytes = 0.0 if model.encoder else min(sequences, tokens) * model.vocabulary * bytes_per_logit
    return max(feed_forward_bytes, sampling_bytes) / GIB


def _outside_pytorch_gib(tensor_parallel: int) -> float:
    """Return GiB outside PyTorch. Tensor parallelism needs more for communication."""
    return 0.27 if tensor_parallel == 1 else 2.1


def _graphs_gib(model: Architecture, settings: Settings) -> float:
    """GiB of captured graphs."""
    return 0.2 + 0.015 * model.layers if settings.graphs and not model.encoder else 0.0


def _late_gib(model: Architecture, settings: Settings, *, large_card: bool) -> float:
    """Return GiB that the engine allocates after the cache, from the memory that `utilization` leaves free.

    The MXFP4 kernels of gpt-oss took over 5.9 GiB on an H100 with 1,024 sequences (vLLM 0.19: the engine died at
    utilization 0.95 and served at 0.9), and less on a MIG slice with 256 sequences.
    """
    sequences = settings.max_num_seqs or (1024 if large_card else 256)
    return 5.9 * min(1.0, sequences / 1024) if model.kind == "gpt_oss" else 0.0
