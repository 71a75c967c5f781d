"""`isthmus size`: does a model fit a GPU, how many GPUs does a load need, and how sure is that.

Two answers on memory (does the engine start, how many requests of this shape fit its cache) and one on speed, each at
the load that was asked about. Replicas are judged at the slow end of the interval: what is promised is kept in nine of
ten cases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from isthmus.core.errors import InputError
from isthmus.planning.catalogues.gpus import GpuKind
from isthmus.planning.catalogues.models import Model
from isthmus.planning.catalogues.precision import BYTES, CACHE_BYTES
from isthmus.planning.sizing import load, memory, rounding, speed
from isthmus.planning.sizing.load import Lengths, Served
from isthmus.planning.sizing.memory import Memory, Settings
from isthmus.planning.sizing.rounding import three
from isthmus.planning.sizing.speed import Speed

DEGREES = (1, 2, 4, 8)
LITTLE = 1e-6
"""Requests a second: as good as none."""
MOST_REPLICAS = 4096


@dataclass(frozen=True)
class Asked:
    """The question. Milliseconds, tokens, requests a second."""

    model: Model
    gpu: GpuKind
    precision: str
    lengths: Lengths
    tensor_parallel: int | None = None
    pipeline_parallel: int = 1
    mig: str | None = None
    max_model_len: int | None = None
    rate: float | None = None
    callers: float | None = None
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    utilization: float = 0.9
    cache_dtype: str = "auto"
    max_num_seqs: int | None = None
    burst: float = 1.0
    """Coefficient of variation of the times between arrivals."""


@dataclass(frozen=True)
class Candidate:
    """One degree of tensor parallelism: its memory, its speed, and the replicas that the load needs."""

    degree: int
    memory: Memory
    most: float
    """Requests of this shape that its cache and settings let run at once; 0 where it does not start."""
    speed: Speed | None = None
    replicas: int | None = None
    """None: no number of replicas keeps the targets."""
    served: Served | None = None


@dataclass(frozen=True)
class Answer:
    """The answer, as the command line's contract names it; `notes` say what the figures are of."""

    fits: bool
    min_gpus: int | None
    tensor_parallel: int | None
    weights_gib: float
    kv_cache_tokens: int
    max_concurrency: int
    throughput_tokens_per_s: float | None
    ttft_ms: float | None
    tpot_ms: float | None
    evidence: dict[str, str]
    interval: dict[str, list[float]]
    notes: list[str] = field(default_factory=list)


def size(asked: Asked) -> Answer:
    """Answer the question. Raises `InputError` where it contradicts itself."""
    _check(asked)
    tried = [_candidate(asked, degree) for degree in _degrees(asked)]
    starting = [each for each in tried if each.memory.starts]
    able = [each for each in starting if each.replicas is not None]
    if able:
        best = min(able, key=lambda each: (each.degree * (each.replicas or 0), each.degree))
        return _answer(asked, best)
    return _no(asked, starting, tried)


def _check(asked: Asked) -> None:
    known = asked.model.architecture
    if asked.precision not in asked.gpu.precisions:
        raise InputError(
            f"{asked.gpu.id} does not compute in {asked.precision}",
            where="--precision",
            fix=f"It has: {', '.join(asked.gpu.precisions)}",
        )
    if asked.model.precisions and asked.precision not in asked.model.precisions:
        raise InputError(
            f"nobody is known to publish {asked.model.id} in {asked.precision}",
            where="--precision",
            fix=f"Published: {', '.join(asked.model.precisions)}. For weights of your own name their `config.json`",
        )
    longest = asked.lengths.prompt + asked.lengths.output
    if longest > asked.model.context:
        raise InputError(
            f"prompt and answer have {longest:,.0f} tokens, and {asked.model.id} takes {asked.model.context:,}",
            where="--prompt-tokens",
            fix="Choose a model with a longer context, or shorten the prompt",
        )
    if asked.tensor_parallel and known.heads % asked.tensor_parallel:
        raise InputError(
            f"{known.heads} attention heads do not divide by {asked.tensor_parallel}",
            where="--tp",
            fix=f"Say one of {', '.join(str(each) for each in DEGREES if not known.heads % each)}",
        )
    if asked.mig and (asked.tensor_parallel or 1) > 1:
        raise InputError(
            "a model is not spread over MIG slices", where="--tp", fix="Leave --tp or --mig away"
        )


def _degrees(asked: Asked) -> list[int]:
    if asked.tensor_parallel or asked.mig:
        return [asked.tensor_parallel or 1]
    return [each for each in DEGREES if asked.model.architecture.heads % each == 0]


def _candidate(asked: Asked, degree: int) -> Candidate:
    part = asked.gpu.slice(asked.mig) if asked.mig else None
    lengths = asked.lengths
    longest = asked.max_model_len or math.ceil(lengths.prompt_p95 + lengths.output_p95)
    settings = Settings(
        max_model_len=min(longest, asked.model.context),
        utilization=asked.utilization,
        max_num_seqs=asked.max_num_seqs,
        cache_dtype=asked.cache_dtype,
    )
    found = memory.measure(
        asked.model.architecture,
        precision=asked.precision,
        usable_mib=(part.usable_mib if part and part.usable_mib else asked.gpu.usable_mib),
        settings=settings,
        tensor_parallel=degree,
        pipeline_parallel=asked.pipeline_parallel,
        large_card=asked.gpu.large and not part,
        beside=asked.model.beside(asked.precision),
    )
    if not found.starts:
        return Candidate(degree, found, 0.0)
    most = _most(asked, found, degree)
    how = speed.of(
        asked.model,
        asked.gpu,
        asked.precision,
        degree,
        cache_bytes=CACHE_BYTES[asked.cache_dtype],
        part=part,
        stages=asked.pipeline_parallel,
    )
    replicas = _replicas(asked, how, most)
    served = _served(asked, how, most, replicas) if replicas else None
    return Candidate(degree, found, most, how, replicas, served)


def _most(asked: Asked, found: Memory, degree: int) -> float:
    """Requests of this shape at once: of the cache at their average length, and of the settings."""
    limit = asked.max_num_seqs or (1024 if asked.gpu.large and not asked.mig else 256)
    return memory.at_once(
        asked.model.architecture,
        found,
        int(asked.lengths.prompt + asked.lengths.output),
        limit,
        degree,
        asked.pipeline_parallel,
        CACHE_BYTES[asked.cache_dtype],
    )


def _keeps(asked: Asked, slow: Served | None, middle: Served | None) -> bool:
    return rounding.holds(slow, middle, asked.ttft_ms, asked.tpot_ms)


def _at(asked: Asked, how: Speed, rate: float, most: float, deviations: float = 0.0) -> Served | None:
    return load.serve(how.at(deviations), asked.lengths, rate, most, asked.burst)


def _replicas(asked: Asked, how: Speed, most: float) -> int | None:
    """The least replicas that keep the targets at the slow end of the interval; None where no number does."""

    def enough(count: int) -> bool:
        if asked.callers is not None:
            each = asked.callers / count
            if each > most:
                return False
            slow, middle = (
                load.callers(how.at(deviations), asked.lengths, each, most)
                for deviations in (speed.EIGHTY, 0.0)
            )
            return _keeps(asked, slow, middle)
        rate = LITTLE if asked.rate is None else asked.rate / count
        return _keeps(asked, _at(asked, how, rate, most, speed.EIGHTY), _at(asked, how, rate, most))

    if asked.rate is None and asked.callers is None:
        return 1 if enough(1) else None
    low, high = 0, 1
    while not enough(high):
        low, high = high, high * 2
        if high > MOST_REPLICAS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _served(asked: Asked, how: Speed, most: float, replicas: int, deviations: float = 0.0) -> Served | None:
    """What one replica does at its share of the load, or at the most that keeps the targets where none is stated."""
    if asked.rate is not None:
        return _at(asked, how, asked.rate / replicas, most, deviations)
    if asked.callers is not None:
        return load.callers(how.at(deviations), asked.lengths, asked.callers / replicas, most)
    low, high = 0.0, load.capacity(how.at(deviations), asked.lengths, most)
    best = _at(asked, how, LITTLE, most, deviations)
    for _ in range(40):
        middle = (low + high) / 2
        found = _at(asked, how, middle, most, deviations)
        # The targets are kept at the slow end of every case: here of what this case takes for its middle.
        if found and _keeps(asked, _at(asked, how, middle, most, deviations + speed.EIGHTY), found):
            low, best = middle, found
        else:
            high = middle
    return best


def _answer(asked: Asked, best: Candidate) -> Answer:
    how, served, replicas = best.speed, best.served, best.replicas or 1
    if how is None or served is None:
        raise ValueError("a candidate that carries the load has a speed")
    output = asked.lengths.output
    middle = served.rate * output * replicas
    slow = _served(asked, how, best.most, replicas, speed.EIGHTY) or served
    fast = _served(asked, how, best.most, replicas, -speed.EIGHTY) or served
    if asked.rate is not None:
        rates = [middle, middle]
    else:
        rates = [slow.rate * output * replicas, fast.rate * output * replicas]
    interval = {
        "throughput_tokens_per_s": [three(each) for each in sorted(rates)],
        "ttft_ms": [three(each) for each in rounding.first_token(fast, served, slow)],
    }
    if output:
        interval["tpot_ms"] = [three(each) for each in sorted((fast.tpot_p95, slow.tpot_p95))]
    return Answer(
        fits=True,
        min_gpus=best.degree * asked.pipeline_parallel * replicas,
        tensor_parallel=best.degree,
        weights_gib=round(best.memory.weights, 2),
        kv_cache_tokens=best.memory.cache_tokens,
        max_concurrency=int(best.most),
        throughput_tokens_per_s=three(middle),
        ttft_ms=three(served.ttft_p95),
        tpot_ms=three(served.tpot_p95) if output else None,
        evidence={"kind": how.kind, "source": how.source, "as_of": how.as_of},
        interval=interval,
        notes=_notes(asked, best, how, served, replicas),
    )


def _notes(asked: Asked, best: Candidate, how: Speed, served: Served, replicas: int) -> list[str]:
    of, each = best.memory, best.degree * asked.pipeline_parallel
    parts = f"{of.weights:.2f} weights, {of.activations:.2f} activations, {of.outside:.2f} outside PyTorch"
    rest = f"{of.cache:.2f} cache; {of.graphs:.2f} graphs besides"
    notes = [
        f"memory of one GPU, GiB: {of.usable:.2f} usable, {parts}, {rest}",
        f"{replicas} x {each} GPUs; weights_gib: of one GPU; kv_cache_tokens, max_concurrency: of one replica",
        f"one replica at {served.rate:.3g} requests a second has {served.running:.1f} running; TTFT and TPOT at p95",
        how.note,
    ]
    if not asked.lengths.output:
        read = served.rate * replicas * asked.lengths.prompt
        notes.append(f"no tokens are written: {three(read):,.0f} tokens a second are read")
    if asked.rate is None and asked.callers is None:
        within = "within the targets" if asked.ttft_ms or asked.tpot_ms else "at all"
        notes.append(f"no load was stated: throughput is the most that one replica carries {within}")
    notes += [f"licence ({asked.model.licence}): {text}" for _, text in asked.model.excludes]
    return notes


def _no(asked: Asked, starting: list[Candidate], tried: list[Candidate]) -> Answer:
    """It does not start, or no number of replicas keeps the targets."""
    shown = starting[-1] if starting else tried[-1]
    notes = [f"with tensor parallelism {each.degree}: {each.memory.why}" for each in tried if each.memory.why]
    how = shown.speed
    if how is not None:
        alone = _at(asked, how, LITTLE, shown.most, speed.EIGHTY)
        if alone:
            notes.append(
                f"with tensor parallelism {shown.degree} even a request alone, at the slow end of the interval, has "
                f"its first token after {alone.ttft_p95:.0f} ms (p95) and one more every {alone.tpot_p95:.1f} ms"
            )
        notes.append(how.note)
    evidence = {"kind": how.kind, "source": how.source, "as_of": how.as_of} if how else _of_memory(asked)
    return Answer(
        fits=bool(starting),
        min_gpus=None,
        tensor_parallel=shown.degree if starting else None,
        weights_gib=round(shown.memory.weights, 2),
        kv_cache_tokens=shown.memory.cache_tokens if starting else 0,
        max_concurrency=int(shown.most),
        throughput_tokens_per_s=None,
        ttft_ms=None,
        tpot_ms=None,
        evidence=evidence,
        interval={},
        notes=notes,
    )


def _of_memory(asked: Asked) -> dict[str, str]:
    return {"kind": "estimated", "source": asked.gpu.source, "as_of": asked.gpu.as_of}


def precision_of(model: Model, gpu: GpuKind) -> str:
    """The first published precision that the GPU computes in. Raises `InputError` where there is none."""
    for each in model.precisions or ("bf16",):
        if each in gpu.precisions and each in BYTES:
            return each
    raise InputError(
        f"{gpu.id} computes in none of the precisions that {model.id} is published in",
        where="--precision",
        fix=f"Published: {', '.join(model.precisions)}; the GPU has: {', '.join(gpu.precisions)}",
    )
