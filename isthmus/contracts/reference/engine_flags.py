"""Which arguments of `vllm serve` keep prompts and answers in the pod, and which let them out or run foreign code.

The tables name flags of the pinned version (`vllm_flags.VERSION`). A flag in none of them is unknown here: for classes
above public, the organisation decides about it (`engine_flags` in trust.yaml).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from isthmus.contracts.reference import vllm_flags

Effect = Literal["keeps", "leaks", "unknown"]
LEAKING_FOR = ("confidential", "restricted")
"""Classes for which no organisation can allow a flag that leaks."""

LEAKS: dict[str, tuple[str, ...]] = {
    "runs code that comes beside the image's vLLM, in the process that holds the prompts": (
        *("--io-processor-plugin", "--logits-processors", "--middleware", "--reasoning-parser-plugin"),
        *("--scheduler-cls", "--tool-parser-plugin", "--trust-remote-code", "--worker-cls"),
        *("--worker-extension-cls", "--model-class-overrides"),
    ),
    "writes prompts or answers into the log": (
        *("--enable-log-deltas", "--enable-log-outputs", "--enable-log-requests", "--enable-trace-replay"),
        *("--log-config-file", "--logging-config"),
    ),
    "sends prompts, or caches made of them, to another address": (
        *("--ec-transfer-config", "--kv-events-config", "--kv-transfer-config", "--otlp-traces-endpoint"),
        *("--tool-server", "--weight-transfer-config"),
    ),
    "reads further arguments from a file that no check sees": ("--config",),
    "opens a port beside the sidecar, which authenticates callers": ("--grpc", "--grpc-port", "--uds"),
    "lets a caller read files of the pod": ("--allowed-local-media-path",),
}
"""By effect: flags that no confidential or restricted model server may have."""

KEEPS: dict[str, tuple[str, ...]] = {
    "sizes and scheduling of batches, memory and caches in the pod": (
        *("--async-scheduling", "--block-size", "--cpu-offload-gb", "--cpu-offload-params"),
        *("--cudagraph-capture-sizes", "--enable-chunked-prefill", "--enable-prefix-caching"),
        *("--enable-sleep-mode", "--enforce-eager", "--gpu-memory-utilization", "--kv-cache-dtype"),
        *("--kv-cache-dtype-skip-layers", "--kv-cache-memory-bytes", "--kv-offloading-size"),
        *("--kv-sharing-fast-prefill", "--long-prefill-token-threshold", "--mamba-block-size"),
        *(
            "--mamba-cache-dtype",
            "--mamba-cache-mode",
            "--mamba-ssm-cache-dtype",
            "--max-cudagraph-capture-size",
        ),
        *("--max-model-len", "--max-num-batched-tokens", "--max-num-seqs", "--max-parallel-loading-workers"),
        *("--num-gpu-blocks-override", "--performance-mode", "--optimization-level"),
        *("--prefix-caching-hash-algo", "--renderer-num-workers", "--scheduler-reserve-full-isl"),
        *("--scheduling-policy", "--stream-interval", "--disable-cascade-attn"),
        *("--disable-hybrid-kv-cache-manager", "--disable-sliding-window", "--disable-chunked-mm-input"),
        *("--max-num-queued-reqs", "--max-num-queued-tokens", "--max-num-scheduled-tokens", "--watermark"),
        *("--api-server-count", "--shutdown-timeout", "--seed", "--skip-mm-profiling"),
    ),
    "how GPUs of one replica share the work": (
        *("--all2all-backend", "--data-parallel-size", "--data-parallel-size-local", "--headless"),
        *("--decode-context-parallel-size", "--disable-custom-all-reduce", "--distributed-timeout-seconds"),
        *("--enable-dbo", "--enable-ep-weight-filter", "--enable-eplb", "--enable-expert-parallel"),
        *("--eplb-config", "--expert-placement-strategy", "--master-port", "--nnodes", "--node-rank"),
        *("--numa-bind", "--pipeline-parallel-size", "--prefill-context-parallel-size"),
        *("--tensor-parallel-size", "--mm-encoder-tp-mode", "--ubatch-size"),
    ),
    "kernels and number formats that the image contains": (
        *("--allow-deprecated-quantization", "--attention-backend", "--attention-config", "--dtype"),
        *("--enable-flashinfer-autotune", "--gdn-prefill-backend", "--linear-backend", "--mamba-backend"),
        *("--mm-encoder-attn-backend", "--mm-encoder-attn-dtype", "--moe-backend", "--quantization"),
        *("--quantization-config", "--use-tqdm-on-load"),
    ),
    "how weights from the pod's own volume are read": (
        *("--code-revision", "--config-format", "--convert", "--download-dir", "--generation-config"),
        *("--hf-overrides", "--ignore-patterns", "--model", "--model-impl", "--model-weights"),
        *("--override-generation-config", "--pooler-config", "--pt-load-map-location", "--revision"),
        *("--runner", "--safetensors-load-strategy", "--tokenizer-mode", "--tokenizer-revision"),
        *("--enable-lora", "--lora-dtype", "--lora-modules", "--lora-target-modules", "--max-cpu-loras"),
        *("--max-lora-rank", "--max-loras", "--fully-sharded-loras", "--specialize-active-lora"),
    ),
    "the form of requests and answers": (
        *("--chat-template", "--chat-template-content-format", "--default-chat-template-kwargs"),
        *("--enable-auto-tool-choice", "--enable-force-include-usage", "--enable-prompt-tokens-details"),
        *("--enable-request-id-headers", "--exclude-tools-when-tool-choice-none", "--interleave-mm-strings"),
        *("--language-model-only", "--limit-mm-per-prompt", "--logprobs-mode", "--max-logprobs"),
        *("--media-io-kwargs", "--mm-processor-cache-gb", "--mm-processor-cache-type"),
        *("--mm-processor-kwargs", "--reasoning-config", "--reasoning-parser", "--response-role"),
        *("--return-tokens-as-token-ids", "--served-model-name", "--structured-outputs-config"),
        *("--sse-keep-alive-interval", "--tool-call-parser", "--video-pruning-rate", "--port"),
    ),
    "measurements without content, and less logging": (
        *("--aggregate-engine-logging", "--cudagraph-metrics", "--custom-histogram-buckets"),
        *("--disable-access-log-for-endpoints", "--disable-fastapi-docs", "--disable-log-stats"),
        *("--disable-uvicorn-access-log", "--enable-logging-iteration-details", "--enable-mfu-metrics"),
        *("--enable-mm-processor-stats", "--enable-per-request-metrics", "--enable-server-load-tracking"),
        *("--kv-cache-metrics", "--kv-cache-metrics-sample", "--max-log-len"),
        *("--per-request-spec-decode-metrics", "--show-hidden-metrics-for-version"),
    ),
    "speculative decoding inside the pod": ("--spec-method", "--spec-model", "--spec-tokens"),
}
"""By purpose: flags whose every value keeps the data in the pod."""

_SILENT_LEVELS = ("critical", "error", "warning", "info")
_SPECULATION = ("ngram", "draft_model", "eagle", "eagle3", "mtp", "medusa", "mlp_speculator", "suffix")
_WEIGHT_FORMATS = ("auto", "safetensors", "mistral", "bitsandbytes", "gguf", "dummy", "fastsafetensors")
_GROUP_LEADER = re.compile(r"(leader-)?\$\([A-Z_]+\)")
_LOG = next(effect for effect in LEAKS if "log" in effect)
_CODE = next(effect for effect in LEAKS if effect.startswith("runs code"))
_PORT = next(effect for effect in LEAKS if effect.startswith("opens a port"))

ALIASES = {
    **{"-tp": "--tensor-parallel-size", "-pp": "--pipeline-parallel-size", "-n": "--nnodes"},
    **{"-dp": "--data-parallel-size", "-dpl": "--data-parallel-size-local", "-r": "--node-rank"},
    **{"-dpa": "--data-parallel-address", "-dpp": "--data-parallel-rpc-port", "-q": "--quantization"},
    **{"-dcp": "--decode-context-parallel-size", "-pcp": "--prefill-context-parallel-size"},
    **{"-asc": "--api-server-count", "-sc": "--speculative-config", "-ac": "--attention-config"},
    **{"-cc": "--compilation-config", "-O": "--optimization-level", "-ep": "--enable-expert-parallel"},
}
"""Short names of flags."""

_EFFECT_BY_FLAG: dict[str, tuple[Effect, str]] = {
    **{flag: ("keeps", purpose) for purpose, names in KEEPS.items() for flag in names},
    **{flag: ("leaks", effect) for effect, names in LEAKS.items() for flag in names},
}


@dataclass(frozen=True)
class Judged:
    """One argument of `vllm serve`, and what it does to the data."""

    index: int
    """Its place among the arguments."""
    flag: str
    """Its full name, such as `--log-level`; the argument itself if it is none."""
    effect: Effect
    reason: str = ""
    """For `leaks`: what the flag does, as a verb phrase."""


def judge_arguments(arguments: Iterable[str]) -> list[Judged]:
    """What each argument does, in order; values of a flag are judged with it."""
    return [
        Judged(index, flag, *_judge(flag, path, values))
        for index, flag, path, values in _read(list(arguments))
    ]


def _read(arguments: list[str]) -> Iterator[tuple[int, str, list[str], list[str]]]:
    """Place, full name, path of a JSON key and values of each flag."""
    current: tuple[int, str, list[str], list[str]] | None = None
    for index, argument in enumerate(arguments):
        if vllm_flags.name_of(argument) is None:
            if current is not None:
                current[3].append(argument)
            continue
        if current is not None:
            yield current
        written, has_value, value = argument.partition("=")
        if re.fullmatch(r"-O\d", written):
            written = "-O"
        first, *path = written.split(".")
        current = (index, full_name(first), path, [value] if has_value else [])
    if current is not None:
        yield current


def full_name(written: str) -> str:
    """The flag that vLLM reads: `_` is as `-`, and short names and unambiguous beginnings count."""
    name = ALIASES.get(written, written.replace("_", "-"))
    if name in vllm_flags.flags() or not name.startswith("--"):
        return name
    if name.startswith("--no-"):
        positive = full_name("--" + name.removeprefix("--no-"))
        return "--no-" + positive.removeprefix("--")
    candidates = [flag for flag in sorted(vllm_flags.flags()) if flag.startswith(name)]
    leaking = [flag for flag in candidates if _EFFECT_BY_FLAG.get(flag, ("", ""))[0] == "leaks"]
    return (leaking or (candidates if len(candidates) == 1 else [name]))[0]


def _judge(flag: str, path: list[str], values: list[str]) -> tuple[Effect, str]:
    if flag.startswith("--no-"):  # switches off what it names
        known = "--" + flag.removeprefix("--no-") in _EFFECT_BY_FLAG
        return ("keeps" if known and not values else "unknown"), ""
    effect, reason = _EFFECT_BY_FLAG.get(flag, ("unknown", ""))
    if effect != "leaks":
        for key in (*path, *(key for value in values for key in _keys(value))):
            inner, why = _EFFECT_BY_FLAG.get(f"--{key.rstrip('+').replace('_', '-')}", ("unknown", ""))
            if inner == "leaks":
                return inner, why
    check = _BY_VALUE.get(flag)
    if check is not None:
        return check(values[-1] if values else "", path)
    return effect, reason


def _keys(value: Any) -> Iterator[str]:
    """Every key of a JSON value, at any depth."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.lstrip().startswith(("{", "[")) else None
        except ValueError:
            return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner) if not isinstance(inner, str) else ()
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner) if not isinstance(inner, str) else ()


def _log_level(value: str, _path: list[str]) -> tuple[Effect, str]:
    return ("keeps", "") if value.lower() in _SILENT_LEVELS else ("leaks", _LOG)


def _executor(value: str, _path: list[str]) -> tuple[Effect, str]:
    if value in ("mp", "uni"):
        return "keeps", ""
    return ("leaks", _CODE) if "." in value or ":" in value else ("unknown", "")


def _host(value: str, _path: list[str]) -> tuple[Effect, str]:
    return ("keeps", "") if value in ("127.0.0.1", "localhost", "::1") else ("leaks", _PORT)


def _leader(value: str, _path: list[str]) -> tuple[Effect, str]:
    return ("keeps" if _GROUP_LEADER.fullmatch(value) else "unknown"), ""


def _speculation(value: str, path: list[str]) -> tuple[Effect, str]:
    if path == ["method"]:
        return ("keeps" if value in _SPECULATION else "unknown"), ""
    if path:
        return ("keeps" if path[0] in ("model", "num_speculative_tokens") else "unknown"), ""
    try:
        settings = json.loads(value)
    except ValueError:
        return "unknown", ""
    known = isinstance(settings, Mapping) and settings.get("method", "draft_model") in _SPECULATION
    return ("keeps" if known else "unknown"), ""


def _weights(value: str, _path: list[str]) -> tuple[Effect, str]:
    return ("keeps" if value in _WEIGHT_FORMATS else "unknown"), ""


_BY_VALUE = {
    "--distributed-executor-backend": _executor,
    "--host": _host,
    "--load-format": _weights,
    "--log-level": _log_level,
    "--master-addr": _leader,
    "--speculative-config": _speculation,
    "--uvicorn-log-level": _log_level,
}
"""Flags whose effect depends on the value."""
