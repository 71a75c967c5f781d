"""`isthmus size`: whether a model fits a GPU, and how many GPUs a load needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.option_classes import takes
from isthmus.cli.options import Format, TextOrJson

if TYPE_CHECKING:
    from isthmus.planning.sizing.size import Question, SizeAnswer

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


class CacheType(StrEnum):
    """Data types of the key-value cache."""

    auto = "auto"
    fp8 = "fp8"


def complete_model(incomplete: str) -> list[str]:
    from isthmus.planning.catalogues import models

    return [model for model in models.ids() if incomplete.lower() in model.lower()]


def complete_gpu(incomplete: str) -> list[str]:
    from isthmus.planning.catalogues import gpus

    return [gpu for gpu in gpus.ids() if gpu.startswith(incomplete)]


@dataclass(frozen=True, kw_only=True)
class SizeOptions:
    model: Annotated[
        str,
        typer.Option(
            help="Hugging Face id, or the path of a config.json.",
            autocompletion=complete_model,
            show_default=False,
        ),
    ]
    gpu: Annotated[
        str, typer.Option(help="GPU, e.g. h100-sxm-80gb.", autocompletion=complete_gpu, show_default=False)
    ]
    prompt_tokens: Annotated[int, typer.Option(min=1, help="Mean tokens of a prompt.", show_default=False)]
    output_tokens: Annotated[
        int, typer.Option(min=0, help="Mean tokens of an answer; 0 for embeddings.", show_default=False)
    ]
    precision: Annotated[
        str | None,
        typer.Option(help="Precision of the weights. Default: the first published.", show_default=False),
    ] = None
    tp: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Tensor parallelism: GPUs that share each layer. Default: the best.",
            show_default=False,
        ),
    ] = None
    pp: Annotated[int, typer.Option(min=1, help="Pipeline stages, each on its own GPUs.")] = 1
    mig: Annotated[str | None, typer.Option(help="A MIG profile, e.g. 3g.40gb.", show_default=False)] = None
    rps: Annotated[float | None, typer.Option(help="Requests a second at the peak.", show_default=False)] = (
        None
    )
    concurrency: Annotated[
        float | None,
        typer.Option(
            help="Closed loop: callers that send the next request after each answer.", show_default=False
        ),
    ] = None
    ttft_ms: Annotated[
        float | None,
        typer.Option(help="Goal for the time to first token, 95th percentile.", show_default=False),
    ] = None
    tpot_ms: Annotated[
        float | None,
        typer.Option(help="Goal for the time of each further token, 95th percentile.", show_default=False),
    ] = None
    prompt_p95: Annotated[
        int | None, typer.Option(min=1, help="95th percentile of prompt tokens.", show_default=False)
    ] = None
    output_p95: Annotated[
        int | None, typer.Option(min=0, help="95th percentile of answer tokens.", show_default=False)
    ] = None
    prefix_hit: Annotated[float, typer.Option(help="Share of the prompt that the prefix cache holds.")] = 0.0
    arrival_cv: Annotated[
        float, typer.Option(help="Coefficient of variation of the times between arrivals.")
    ] = 1.0
    max_model_len: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Longest sequence. Default: 95th percentile of prompt plus answer.",
            show_default=False,
        ),
    ] = None
    max_num_seqs: Annotated[
        int | None, typer.Option(min=1, help="Most sequences at once. Default: vLLM's.", show_default=False)
    ] = None
    kv_cache_dtype: Annotated[CacheType, typer.Option(help="Data type of the key-value cache.")] = (
        CacheType.auto
    )
    gpu_memory_utilization: Annotated[float, typer.Option(help="Share of GPU memory for vLLM.")] = 0.9
    format: TextOrJson = Format.text


@app.command()
@takes(SizeOptions)
def size(options: SizeOptions) -> None:
    """Say whether a model fits a GPU, how many GPUs a load needs, and how sure that is (80 % intervals)."""
    from dataclasses import asdict

    from isthmus.cli import console
    from isthmus.planning.sizing import size as sizing

    question = _question(options)
    answer = sizing.answer_question(question)
    if options.format is Format.json:
        console.print_json(asdict(answer))
    else:
        print("\n".join(_lines(answer, question.precision)))
    if answer.min_gpus is None:
        raise typer.Exit(1)


def _question(options: SizeOptions) -> Question:
    """The question that the options ask. Raises `InputError`."""
    from isthmus.planning.catalogues import gpus, models
    from isthmus.planning.sizing import question

    return question.build_question(
        models.find_model(options.model),
        gpus.find(options.gpu),
        precision=options.precision,
        tensor_parallel=options.tp,
        pipeline_parallel=options.pp,
        mig=options.mig,
        rate=options.rps,
        callers=options.concurrency,
        ttft_ms=options.ttft_ms,
        tpot_ms=options.tpot_ms,
        prompt=options.prompt_tokens,
        output=options.output_tokens,
        prompt_p95=options.prompt_p95,
        output_p95=options.output_p95,
        hit=options.prefix_hit,
        burst=options.arrival_cv,
        max_model_len=options.max_model_len,
        max_num_seqs=options.max_num_seqs,
        cache_dtype=options.kv_cache_dtype.value,
        utilization=options.gpu_memory_utilization,
    )


def _lines(answer: SizeAnswer, precision: str) -> list[str]:
    """Text of a result: the answer, figures with intervals, then their evidence."""
    if answer.min_gpus is not None:
        head = f"fits: {answer.min_gpus} GPU{'s' if answer.min_gpus > 1 else ''}"
    elif answer.fits:
        head = "starts, but meets the targets with no number of replicas"
    else:
        head = "does not fit"
    lines = [head, ""]
    rows: list[tuple[str, float | int | None, str, str]] = [
        ("tensor parallelism", answer.tensor_parallel, "", ""),
        (f"weights, {precision}", answer.weights_gib, "GiB a GPU", ""),
        ("cache", answer.kv_cache_tokens, "tokens a replica", ""),
        ("at once", answer.max_concurrency, "requests a replica", ""),
        ("throughput", answer.throughput_tokens_per_s, "output tokens/s in all", "throughput_tokens_per_s"),
        ("first token (p95)", answer.ttft_ms, "ms", "ttft_ms"),
        ("each further (p95)", answer.tpot_ms, "ms", "tpot_ms"),
    ]
    for name, value, unit, key in rows:
        if value is None or (value == 0 and key):
            continue
        bounds = answer.interval.get(key)
        interval_text = f"  (80 %: {bounds[0]:,.6g} to {bounds[1]:,.6g})" if bounds else ""
        lines.append(f"  {name:20} {value:>10,.6g} {unit}{interval_text}".rstrip())
    evidence = answer.evidence
    lines += ["", f"{evidence['kind']}: {evidence['source']} ({evidence['as_of']})"]
    return [*lines, *(f"- {note}" for note in answer.notes)]
