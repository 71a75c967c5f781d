"""Answers `isthmus size`: whether a model fits a GPU, how many GPUs a load needs, and how certain the figures are.

It checks memory (whether the engine starts, how many requests fit its cache) and speed at the given load. Replicas
are counted at the slow end of the interval, so that the prediction holds in nine of ten cases.
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
from isthmus.planning.sizing.rounding import three_digits
from isthmus.planning.sizing.searches import first_that_passes
from isthmus.planning.sizing.speed import Speed

DEGREES = (1, 2, 4, 8)
NEGLIGIBLE_RATE = 1e-6
"""Requests a second that stand for no load."""
MAX_REPLICAS = 4096


@dataclass(frozen=True)
class Question:
    """The question of `isthmus size`. Milliseconds, tokens, requests a second."""

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
    """Requests of this shape that can run at once, by cache and settings; 0 if the engine does not start."""
    speed: Speed | None = None
    replicas: int | None = None
    """None: no number of replicas keeps the targets."""
    served: Served | None = None


@dataclass(frozen=True)
class SizeAnswer:
    """The answer, with the keys of the command's JSON. `notes` explain the figures."""

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


def answer_question(question: Question) -> SizeAnswer:
    """Answer the question. Raises `InputError` if its numbers contradict each other."""
    _check(question)
    candidates = [_size_candidate(question, degree) for degree in _tensor_parallel_sizes(question)]
    startable = [candidate for candidate in candidates if candidate.memory.starts]
    able = [candidate for candidate in startable if candidate.replicas is not None]
    if able:
        best = min(
            able, key=lambda candidate: (candidate.degree * (candidate.replicas or 0), candidate.degree)
        )
        return _fitting_answer(question, best)
    return _failing_answer(question, startable, candidates)


def _check(question: Question) -> None:
    architecture = question.model.architecture
    if question.precision not in question.gpu.precisions:
        raise InputError(
            f"{question.gpu.id} does not support {question.precision}",
            where="--precision",
            fix=f"Choose one of: {', '.join(question.gpu.precisions)}",
        )
    if question.model.precisions and question.precision not in question.model.precisions:
        raise InputError(
            f"{question.model.id} is not published in {question.precision}",
            where="--precision",
            fix=f"Choose one of: {', '.join(question.model.precisions)}. For weights of your own, pass the path of "
            "their `config.json`",
        )
    longest = question.lengths.prompt + question.lengths.output
    if longest > question.model.context:
        raise InputError(
            f"prompt and answer have {longest:,.0f} tokens, and {question.model.id} takes {question.model.context:,}",
            where="--prompt-tokens",
            fix="Choose a model with a longer context, or shorten the prompt",
        )
    if question.tensor_parallel and architecture.heads % question.tensor_parallel:
        raise InputError(
            f"{architecture.heads} attention heads do not divide by {question.tensor_parallel}",
            where="--tp",
            fix=f"Choose one of: {', '.join(str(degree) for degree in DEGREES if not architecture.heads % degree)}",
        )
    if question.mig and (question.tensor_parallel or 1) > 1:
        raise InputError("a model cannot be spread over MIG slices", where="--tp", fix="Remove --tp or --mig")


def _tensor_parallel_sizes(question: Question) -> list[int]:
    if question.tensor_parallel or question.mig:
        return [question.tensor_parallel or 1]
    return [degree for degree in DEGREES if question.model.architecture.heads % degree == 0]


def _size_candidate(question: Question, degree: int) -> Candidate:
    slice = question.gpu.slice(question.mig) if question.mig else None
    lengths = question.lengths
    max_model_len = question.max_model_len or math.ceil(lengths.prompt_p95 + lengths.output_p95)
    settings = Settings(
        max_model_len=min(max_model_len, question.model.context),
        utilization=question.utilization,
        max_num_seqs=question.max_num_seqs,
        cache_dtype=question.cache_dtype,
    )
    memory_use = memory.measure_memory(
        question.model.architecture,
        precision=question.precision,
        usable_mib=(slice.usable_mib if slice and slice.usable_mib else question.gpu.usable_mib),
        settings=settings,
        tensor_parallel=degree,
        pipeline_parallel=question.pipeline_parallel,
        large_card=question.gpu.large and not slice,
        extra_bytes=question.model.extra_weight_bytes(question.precision),
    )
    if not memory_use.starts:
        return Candidate(degree, memory_use, 0.0)
    max_running = _max_running(question, memory_use, degree)
    model_speed = speed.find_speed(
        question.model,
        question.gpu,
        question.precision,
        degree,
        cache_bytes=CACHE_BYTES[question.cache_dtype],
        slice=slice,
        stages=question.pipeline_parallel,
    )
    replicas = _replicas_needed(question, model_speed, max_running)
    served = _serve_at_load(question, model_speed, max_running, replicas) if replicas else None
    return Candidate(degree, memory_use, max_running, model_speed, replicas, served)


def _max_running(question: Question, memory_use: Memory, degree: int) -> float:
    """Return how many requests of mean length can run at once, by cache and settings."""
    limit = question.max_num_seqs or (1024 if question.gpu.large and not question.mig else 256)
    return memory.max_running_requests(
        question.model.architecture,
        memory_use,
        int(question.lengths.prompt + question.lengths.output),
        limit,
        degree,
        question.pipeline_parallel,
        CACHE_BYTES[question.cache_dtype],
    )


def _keeps_targets(question: Question, slow: Served | None, middle: Served | None) -> bool:
    return rounding.goals_hold(slow, middle, rounding.Goals(question.ttft_ms, question.tpot_ms))


def _serve(
    question: Question, model_speed: Speed, rate: float, max_running: float, deviations: float = 0.0
) -> Served | None:
    return load.serve_workload(
        model_speed.at(deviations), question.lengths, rate, max_running, question.burst
    )


def _replicas_needed(question: Question, model_speed: Speed, max_running: float) -> int | None:
    """Return the fewest replicas that meet the targets at the slow end of the interval; None if no number does."""

    def is_enough(count: int) -> bool:
        if question.callers is not None:
            callers_per_replica = question.callers / count
            if callers_per_replica > max_running:
                return False
            slow, middle = (
                load.serve_callers(
                    model_speed.at(deviations), question.lengths, callers_per_replica, max_running
                )
                for deviations in (speed.EIGHTY_PERCENT_DEVIATIONS, 0.0)
            )
            return _keeps_targets(question, slow, middle)
        rate = NEGLIGIBLE_RATE if question.rate is None else question.rate / count
        return _keeps_targets(
            question,
            _serve(question, model_speed, rate, max_running, speed.EIGHTY_PERCENT_DEVIATIONS),
            _serve(question, model_speed, rate, max_running),
        )

    if question.rate is None and question.callers is None:
        return 1 if is_enough(1) else None
    place = first_that_passes(MAX_REPLICAS, lambda place: is_enough(place + 1))
    return None if place is None else place + 1


def _serve_at_load(
    question: Question, model_speed: Speed, max_running: float, replicas: int, deviations: float = 0.0
) -> Served | None:
    """Return one replica at its share of the load, or without a load at the highest rate that meets the targets."""
    if question.rate is not None:
        return _serve(question, model_speed, question.rate / replicas, max_running, deviations)
    if question.callers is not None:
        return load.serve_callers(
            model_speed.at(deviations), question.lengths, question.callers / replicas, max_running
        )
    low, high = 0.0, load.capacity(model_speed.at(deviations), question.lengths, max_running)
    best = _serve(question, model_speed, NEGLIGIBLE_RATE, max_running, deviations)
    for _ in range(40):
        middle = (low + high) / 2
        served = _serve(question, model_speed, middle, max_running, deviations)
        # Targets must hold at the slow end, counted from the middle of this case.
        if served and _keeps_targets(
            question,
            _serve(question, model_speed, middle, max_running, deviations + speed.EIGHTY_PERCENT_DEVIATIONS),
            served,
        ):
            low, best = middle, served
        else:
            high = middle
    return best


def _fitting_answer(question: Question, best: Candidate) -> SizeAnswer:
    model_speed, served, replicas = best.speed, best.served, best.replicas or 1
    if model_speed is None or served is None:
        raise ValueError("a candidate that carries the load has a speed")
    output = question.lengths.output
    middle = served.rate * output * replicas
    slow = (
        _serve_at_load(question, model_speed, best.most, replicas, speed.EIGHTY_PERCENT_DEVIATIONS) or served
    )
    fast = (
        _serve_at_load(question, model_speed, best.most, replicas, -speed.EIGHTY_PERCENT_DEVIATIONS) or served
    )
    if question.rate is not None:
        rates = [middle, middle]
    else:
        rates = [slow.rate * output * replicas, fast.rate * output * replicas]
    interval = {
        "throughput_tokens_per_s": [three_digits(value) for value in sorted(rates)],
        "ttft_ms": [three_digits(value) for value in rounding.first_token_interval(fast, served, slow)],
    }
    if output:
        interval["tpot_ms"] = [three_digits(value) for value in sorted((fast.tpot_p95, slow.tpot_p95))]
    return SizeAnswer(
        fits=True,
        min_gpus=best.degree * question.pipeline_parallel * replicas,
        tensor_parallel=best.degree,
        weights_gib=round(best.memory.weights, 2),
        kv_cache_tokens=best.memory.cache_tokens,
        max_concurrency=int(best.most),
        throughput_tokens_per_s=three_digits(middle),
        ttft_ms=three_digits(served.ttft_p95),
        tpot_ms=three_digits(served.tpot_p95) if output else None,
        evidence={"kind": model_speed.kind, "source": model_speed.source, "as_of": model_speed.as_of},
        interval=interval,
        notes=_notes(question, best, model_speed, served, replicas),
    )


def _notes(
    question: Question, best: Candidate, model_speed: Speed, served: Served, replicas: int
) -> list[str]:
    memory_use, gpus_per_replica = best.memory, best.degree * question.pipeline_parallel
    engine_memory = (
        f"{memory_use.weights:.2f} weights, {memory_use.activations:.2f} activations, "
        f"{memory_use.outside:.2f} outside PyTorch"
    )
    cache_memory = f"{memory_use.cache:.2f} cache; {memory_use.graphs:.2f} graphs besides"
    notes = [
        f"memory of one GPU, GiB: {memory_use.usable:.2f} usable, {engine_memory}, {cache_memory}",
        (
            f"{replicas} x {gpus_per_replica} GPUs; weights_gib is per GPU; kv_cache_tokens and max_concurrency are "
            "per replica"
        ),
        f"one replica at {served.rate:.3g} requests a second has {served.running:.1f} running; TTFT and TPOT at p95",
        model_speed.note,
    ]
    if not question.lengths.output:
        read = served.rate * replicas * question.lengths.prompt
        notes.append(f"the model generates no tokens; it reads {three_digits(read):,.0f} tokens a second")
    if question.rate is None and question.callers is None:
        limit = "within the targets" if question.ttft_ms or question.tpot_ms else "at all"
        notes.append(f"no load was given; throughput is the highest that one replica carries {limit}")
    notes += [f"licence ({question.model.licence}): {text}" for _, text in question.model.excludes]
    return notes


def _failing_answer(
    question: Question, startable: list[Candidate], candidates: list[Candidate]
) -> SizeAnswer:
    """Return the answer if no engine starts, or no number of replicas meets the targets."""
    shown = startable[-1] if startable else candidates[-1]
    notes = [
        f"with tensor parallelism {candidate.degree}: {candidate.memory.why}"
        for candidate in candidates
        if candidate.memory.why
    ]
    model_speed = shown.speed
    if model_speed is not None:
        single_request = _serve(
            question, model_speed, NEGLIGIBLE_RATE, shown.most, speed.EIGHTY_PERCENT_DEVIATIONS
        )
        if single_request:
            notes.append(
                f"with tensor parallelism {shown.degree}, even a single request at the slow end of the interval gets "
                f"its first token after {single_request.ttft_p95:.0f} ms (p95) and one more every "
                f"{single_request.tpot_p95:.1f} ms"
            )
        notes.append(model_speed.note)
    evidence = (
        {"kind": model_speed.kind, "source": model_speed.source, "as_of": model_speed.as_of}
        if model_speed
        else _memory_evidence(question)
    )
    return SizeAnswer(
        fits=bool(startable),
        min_gpus=None,
        tensor_parallel=shown.degree if startable else None,
        weights_gib=round(shown.memory.weights, 2),
        kv_cache_tokens=shown.memory.cache_tokens if startable else 0,
        max_concurrency=int(shown.most),
        throughput_tokens_per_s=None,
        ttft_ms=None,
        tpot_ms=None,
        evidence=evidence,
        interval={},
        notes=notes,
    )


def _memory_evidence(question: Question) -> dict[str, str]:
    return {"kind": "estimated", "source": question.gpu.source, "as_of": question.gpu.as_of}


def default_precision(model: Model, gpu: GpuKind) -> str:
    """Return the first published precision that the GPU supports. Raises `InputError` if there is none."""
    for precision in model.precisions or ("bf16",):
        if precision in gpu.precisions and precision in BYTES:
            return precision
    raise InputError(
        f"{gpu.id} supports none of the precisions that {model.id} is published in",
        where="--precision",
        fix=f"Choose another GPU. Published: {', '.join(model.precisions)}; supported: {', '.join(gpu.precisions)}",
    )
