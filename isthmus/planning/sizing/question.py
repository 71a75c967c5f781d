"""The numbers of `isthmus size`'s options, checked, to its question."""

from __future__ import annotations

import math
from typing import Any

from isthmus.core.errors import InputError
from isthmus.planning.catalogues.gpus import GpuKind
from isthmus.planning.catalogues.models import Model
from isthmus.planning.catalogues.precision import BYTES
from isthmus.planning.sizing.load import Lengths
from isthmus.planning.sizing.size import Asked, precision_of


def asked(
    model: Model,
    gpu: GpuKind,
    *,
    prompt: int,
    output: int,
    prompt_p95: int | None,
    output_p95: int | None,
    hit: float,
    precision: str | None,
    **rest: Any,
) -> Asked:
    """The question; `rest` are the fields of `Asked`. Raises `InputError` for numbers that cannot be, or contradict."""
    if precision is not None and precision not in BYTES:
        from isthmus.core.validation_errors import did_you_mean

        raise InputError(
            f"`{precision}` is no precision",
            where="--precision",
            fix=f"{did_you_mean(precision, BYTES)} There are: {', '.join(BYTES)}".strip(),
        )
    _positive("--rps", rest["rate"])
    _positive("--concurrency", rest["callers"], least=1)
    _positive("--ttft-ms", rest["ttft_ms"])
    _positive("--tpot-ms", rest["tpot_ms"])
    _between("--prefix-hit", hit, 0, 1, most_too=False)
    _between("--gpu-memory-utilization", rest["utilization"], 0.1, 1)
    _between("--arrival-cv", rest["burst"], 0, 10)
    if rest["rate"] is not None and rest["callers"] is not None:
        raise InputError(
            "a rate and a number of callers are two loads", where="--concurrency", fix="State one of the two"
        )
    for name, mean, high in (("--prompt-p95", prompt, prompt_p95), ("--output-p95", output, output_p95)):
        if high is not None and high < mean:
            raise InputError(
                f"the 95th percentile {high} is below the mean {mean}",
                where=name,
                fix="Correct one of the two",
            )
    if model.task in ("embedding", "rerank") and output > 1:
        raise InputError(
            f"{model.id} writes no tokens: it is for {model.task}", where="--output-tokens", fix="Say 0"
        )
    if model.task in ("chat",) and output == 0:
        raise InputError(f"{model.id} writes tokens", where="--output-tokens", fix="Say how many")
    lengths = Lengths(
        prompt,
        output if model.task in ("chat", "guard") else 0,
        prompt_p95 or prompt,
        output_p95 or output,
        hit,
    )
    longest = rest.get("max_model_len")
    if longest is not None and longest < prompt + output:
        raise InputError(
            f"prompt and answer have {prompt + output:,} tokens, the longest sequence {longest:,}",
            where="--max-model-len",
            fix=f"Say {prompt + output} or more",
        )
    return Asked(model, gpu, precision or precision_of(model, gpu), lengths, **rest)


def _positive(name: str, value: float | None, least: float = 0.0) -> None:
    if value is None:
        return
    if not math.isfinite(value) or value <= 0 or value < least:
        raise InputError(
            f"{value:g} is not above 0" if least == 0 else f"{value:g} is less than {least:g}", where=name
        )


def _between(name: str, value: float, low: float, high: float, *, most_too: bool = True) -> None:
    if not (low <= value <= high) or (value == high and not most_too):
        raise InputError(f"{value:g} is not between {low:g} and {high:g}", where=name)
