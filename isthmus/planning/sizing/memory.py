"""What one GPU's memory holds when vLLM serves a model, and what is left for the cache.

vLLM takes `gpu_memory_utilization` of a GPU, loads the weights, runs one step as large as its settings allow, and gives
what then remains to the key-value cache. So does this model: weights and cache follow from the architecture; the step's
peak, what lies outside PyTorch and the captured graphs were fitted to logs (tests/planning/data/memory_rows.json).
Two answers: does the engine start (the cache holds one sequence of the longest length), and how many sequences fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from isthmus.planning.catalogues.architecture import Architecture, Cache
from isthmus.planning.catalogues.precision import CACHE_BYTES, weight_bytes

GIB = float(1 << 30)
BLOCK = 16
"""Tokens of a block of the cache."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter that the engine keeps loaded."""

    rank: int
    size_mib: float


@dataclass(frozen=True)
class Settings:
    """The engine's settings that decide memory. `None`: vLLM's own default for the card."""

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
    """vLLM's version. Before 0.17 drawing tokens took two and a half times the memory."""


@dataclass(frozen=True)
class Memory:
    """One GPU's memory, GiB, and what follows. The fullest GPU of the group where they differ."""

    usable: float
    weights: float
    activations: float
    outside: float
    """Outside PyTorch: the driver's context, libraries, communication buffers."""
    graphs: float
    """Captured graphs; they come after the cache was sized, from what `utilization` leaves free."""
    adapters: float
    cache: float
    """Left for the cache; negative where even the rest does not fit."""
    cache_tokens: int
    """As the engine's log counts them: whole blocks, layers that forget counted like those that keep all."""
    longest: float
    """What one sequence of `max_model_len` needs of the cache."""
    starts: bool
    why: str
    """Why it does not start; empty where it does."""


def measure(
    model: Architecture,
    *,
    precision: str,
    usable_mib: float,
    settings: Settings,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    large_card: bool = True,
    beside: float = 0.0,
) -> Memory:
    """The memory of one GPU of a replica over `tensor_parallel` x `pipeline_parallel` GPUs.

    `usable_mib`: what CUDA says the card, or its MIG slice, has. `large_card`: a card of at least 70 GiB that is
    no A100, which vLLM gives larger defaults. `beside`: bytes of weights beyond the text model's own.
    """
    usable = usable_mib / 1024
    weights = (
        _weights(model, precision, tensor_parallel, pipeline_parallel)
        + beside / tensor_parallel / pipeline_parallel / GIB
    )
    activations = _activations(model, settings, tensor_parallel, large_card=large_card)
    outside = _outside(tensor_parallel)
    graphs = _graphs(model, settings)
    adapters = sum(each.size_mib for each in settings.adapters) / 1024 / tensor_parallel
    budget = usable * settings.utilization
    cache = budget - weights - activations - outside - adapters
    element = CACHE_BYTES[settings.cache_dtype]
    tokens = cache_tokens(model, cache * GIB, tensor_parallel, pipeline_parallel, element)
    longest = one_sequence(model, settings.max_model_len, tensor_parallel, pipeline_parallel, element) / GIB
    why = _why_not(
        usable, weights, cache, longest, graphs + _unseen(model, settings, large_card=large_card), settings
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
        starts=not why,
        why=why,
    )


def _why_not(
    usable: float, weights: float, cache: float, longest: float, later: float, settings: Settings
) -> str:
    if weights >= usable:
        return f"the weights take {weights:.1f} GiB of a GPU that has {usable:.1f}"
    if cache <= 0:
        return f"nothing of {usable:.1f} GiB is left for the cache beside {weights:.1f} GiB of weights"
    if longest > cache:
        sequence = f"one sequence of {settings.max_model_len:,} tokens"
        return f"{sequence} needs {longest:.2f} GiB of cache, {cache:.2f} are left"
    free = usable * (1 - settings.utilization) + 0.5
    if later > free:
        return f"what comes after the cache takes {later:.1f} GiB, and {free:.1f} are left free: lower the utilization"
    return ""


def _weights(model: Architecture, precision: str, tensor_parallel: int, pipeline_parallel: int) -> float:
    """GiB of the weights on the fullest GPU: the last stage has the output embedding, the first the input's."""
    whole = weight_bytes(model, precision)
    embedding = model.embedding * 2.0
    stages = max(1, pipeline_parallel)
    share = math.ceil(model.layers / stages) / model.layers
    stage = (whole - embedding) * share + (
        embedding if stages == 1 else model.vocabulary * model.hidden * 2.0
    )
    repeated = _repeated_heads(model, tensor_parallel) * share
    return (stage / tensor_parallel + repeated) / GIB


def _repeated_heads(model: Architecture, tensor_parallel: int) -> float:
    """Bytes of keys' and values' matrices that a GPU has beyond its share, where heads are fewer than GPUs."""
    more = 0.0
    for each in model.caches:
        if each.kind in ("full", "window") and each.heads < tensor_parallel:
            own = each.heads / tensor_parallel
            more += each.layers * each.elements * model.hidden * 2.0 * (1 - own)
    return more


def one_sequence(
    model: Architecture, tokens: int, tensor_parallel: int, pipeline_parallel: int, element_bytes: float
) -> float:
    """Bytes of cache that one sequence takes of a GPU, in whole blocks."""
    blocks = math.ceil(tokens / BLOCK) * BLOCK
    return model.cache_of_sequence(blocks, tensor_parallel, element_bytes) / pipeline_parallel


def at_once(
    model: Architecture,
    found: Memory,
    tokens: int,
    limit: int,
    tensor_parallel: int,
    pipeline_parallel: int = 1,
    element_bytes: float = 2.0,
) -> float:
    """Requests of so many tokens that a cache holds at once, at most `limit`; an encoder has no cache."""
    if model.encoder:
        return limit
    of_one = one_sequence(model, tokens, tensor_parallel, pipeline_parallel, element_bytes)
    return max(1.0, min(limit, found.cache * GIB / of_one))


def cache_tokens(
    model: Architecture,
    cache_bytes: float,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    element_bytes: float = 2.0,
) -> int:
    """Tokens that a cache of `cache_bytes` on each GPU holds, as vLLM's log counts them; 0 for an encoder."""
    of_token = _of_logged_token(model.caches, tensor_parallel) * element_bytes / pipeline_parallel
    if of_token <= 0 or cache_bytes <= 0:
        return 0
    return int(cache_bytes / of_token / BLOCK) * BLOCK


def _of_logged_token(caches: Sequence[Cache], tensor_parallel: int) -> float:
    """Elements of one token in vLLM's pool of pages.

    Layers of several kinds share one pool: they are put into groups of as many layers as the rarest kind has
    (or the commonest, where it has hardly more), each page serves one group, and the log counts a token as
    one in every group (vLLM 0.19, `kv_cache_utils.py`). Layers with a state take pages like the others.
    """
    present = [each for each in caches if each.layers]
    keeping = [each for each in present if each.kind != "state"]
    if not keeping:
        return 0.0
    if len(present) == 1 or all(each.kind == "latent" for each in present):
        return float(sum(each.of_token(tensor_parallel) for each in present))
    fewest, most = min(each.layers for each in present), max(each.layers for each in present)
    size = most if most < fewest * 1.25 else fewest
    groups = sum(math.ceil(each.layers / size) for each in present)
    widest = max(each.of_token(tensor_parallel) / each.layers for each in keeping)
    return groups * size * widest


# -- fitted to logs; see docs/sizing.md


def _activations(model: Architecture, settings: Settings, tensor_parallel: int, *, large_card: bool) -> float:
    """GiB that the largest step needs at its peak: in the feed-forward layers, or where tokens are drawn."""
    tokens = settings.max_num_batched_tokens or (8192 if large_card else 2048)
    sequences = settings.max_num_seqs or (1024 if large_card else 256)
    through = tokens * (6 * model.hidden + 3 * model.feed_forward / tensor_parallel) * 2.0
    # The logits of each sequence in 32 bits, sorted, summed and drawn from: every GPU has all of them.
    of_logit = 39.0 if settings.engine < (0, 17) else 15.6
    drawn = 0.0 if model.encoder else min(sequences, tokens) * model.vocabulary * of_logit
    return max(through, drawn) / GIB


def _outside(tensor_parallel: int) -> float:
    """GiB outside PyTorch: more where GPUs share layers and talk in every one of them."""
    return 0.27 if tensor_parallel == 1 else 2.1


def _graphs(model: Architecture, settings: Settings) -> float:
    """GiB of captured graphs."""
    return 0.2 + 0.015 * model.layers if settings.graphs and not model.encoder else 0.0


def _unseen(model: Architecture, settings: Settings, *, large_card: bool) -> float:
    """GiB that an engine takes after it has sized the cache, so that they come from what `utilization` leaves free.

    gpt-oss's kernels for MXFP4 took over 5.9 GiB on an H100 with 1,024 sequences (vLLM 0.19; at 0.95 the engine died,
    at 0.9 it served), and little enough on a smaller slice with 256.
    """
    sequences = settings.max_num_seqs or (1024 if large_card else 256)
    return 5.9 * min(1.0, sequences / 1024) if model.kind == "gpt_oss" else 0.0
