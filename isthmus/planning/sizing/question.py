"""Builds the question of `isthmus size` from its options, and checks them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from isthmus.core.errors import InputError
from isthmus.planning.catalogues.gpus import GpuKind
from isthmus.planning.catalogues.models import Model
from isthmus.planning.catalogues.precision import BYTES
from isthmus.planning.sizing.load import Lengths
from isthmus.planning.sizing.size import Question, default_precision


def build_question(
    model: Model,
    gpu: GpuKind,
    *,
    prompt: int,
    output: int,
    prompt_p95: int | None,
    output_p95: int | None,
    hit: float,
    precision: str | None,
    **other_fields: Any,
) -> Question:
    """Return the question. `other_fields` are further fields of `Question`.

    Raises `InputError` for impossible or contradicting numbers.
    """
    _check_precision(precision)
    _check_numbers(hit, other_fields)
    for name, mean, p95 in (("--prompt-p95", prompt, prompt_p95), ("--output-p95", output, output_p95)):
        if p95 is not None and p95 < mean:
            raise InputError(
                f"the 95th percentile {p95} is below the mean {mean}",
                where=name,
                fix=f"Set it to {mean} or more, or lower the mean",
            )
    _check_output(model, output)
    lengths = Lengths(
        prompt,
        output if model.task in ("chat", "guard") else 0,
        prompt_p95 or prompt,
        output_p95 or output,
        hit,
    )
    longest = other_fields.get("max_model_len")
    if longest is not None and longest < prompt + output:
        raise InputError(
            f"prompt and answer have {prompt + output:,} tokens, more than --max-model-len {longest:,}",
            where="--max-model-len",
            fix=f"Set it to {prompt + output} or more",
        )
    return Question(model, gpu, precision or default_precision(model, gpu), lengths, **other_fields)


def _check_precision(precision: str | None) -> None:
    if precision is not None and precision not in BYTES:
        from isthmus.core.validation_errors import did_you_mean

        raise InputError(
            f"`{precision}` is not a known precision",
            where="--precision",
            fix=f"{did_you_mean(precision, BYTES)} Choose one of: {', '.join(BYTES)}".strip(),
        )


def _check_numbers(hit: float, other_fields: Mapping[str, Any]) -> None:
    """Rates, goals and shares are in their range, and only one option sets the load."""
    _positive("--rps", other_fields["rate"])
    _positive("--concurrency", other_fields["callers"], minimum=1)
    _positive("--ttft-ms", other_fields["ttft_ms"])
    _positive("--tpot-ms", other_fields["tpot_ms"])
    _between("--prefix-hit", hit, 0, 1, includes_high=False)
    _between("--gpu-memory-utilization", other_fields["utilization"], 0.1, 1)
    _between("--arrival-cv", other_fields["burst"], 0, 10)
    if other_fields["rate"] is not None and other_fields["callers"] is not None:
        raise InputError(
            "--rps and --concurrency both set the load", where="--concurrency", fix="Remove one of the two"
        )


def _check_output(model: Model, output: int) -> None:
    """The model can generate `output` tokens an answer."""
    if model.task in ("embedding", "rerank") and output > 1:
        raise InputError(
            f"{model.id} is a model for {model.task}, so it generates no tokens",
            where="--output-tokens",
            fix="Set it to 0",
        )
    if model.task in ("chat",) and output == 0:
        raise InputError(
            f"{model.id} is a chat model, so the answer needs at least 1 token",
            where="--output-tokens",
            fix="Set it to the mean tokens of an answer",
        )


def _positive(name: str, value: float | None, minimum: float = 0.0) -> None:
    if value is None:
        return
    if not math.isfinite(value) or value <= 0 or value < minimum:
        raise InputError(
            f"{value:g} is not above 0" if minimum == 0 else f"{value:g} is less than {minimum:g}",
            where=name,
            fix="Set it to a number above 0" if minimum == 0 else f"Set it to {minimum:g} or more",
        )


def _between(name: str, value: float, low: float, high: float, *, includes_high: bool = True) -> None:
    if not (low <= value <= high) or (value == high and not includes_high):
        below = "" if includes_high else f", but below {high:g}"
        raise InputError(
            f"{value:g} is not between {low:g} and {high:g}",
            where=name,
            fix=f"Set it to a number from {low:g} to {high:g}{below}",
        )
