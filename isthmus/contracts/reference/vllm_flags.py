"""The arguments that `vllm serve` of the pinned version knows. Data stands in `vllm_flags.json`."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from isthmus.core.errors import InputError

VERSION = "0.33.0"
"""The version of vLLM whose flags these are."""

RESERVED = {
    "--host": "vLLM listens on 127.0.0.1 only; its sidecar faces the network",
    "--port": "the port is the model server's own",
    "--uds": "vLLM listens on 127.0.0.1 only; its sidecar faces the network",
    "--grpc": "vLLM serves HTTP behind its sidecar",
    "--grpc-port": "vLLM serves HTTP behind its sidecar",
    "--ssl-keyfile": "the sidecar ends TLS",
    "--ssl-certfile": "the sidecar ends TLS",
    "--ssl-ca-certs": "the sidecar ends TLS",
    "--api-key": "a secret may not stand in an argument; the gateway checks the caller",
    "--hf-token": "a secret may not stand in an argument; weights come from a volume or an image",
    "--model": "the endpoint's `model` and `weights` say it",
    "--model-weights": "the endpoint's `weights` say it",
    "--served-model-name": "the endpoint's `model` says it",
    "--tensor-parallel-size": "the endpoint's `tensor_parallel` says it",
    "--pipeline-parallel-size": "the endpoint's `nodes_per_replica` says it",
    "--nnodes": "the endpoint's `nodes_per_replica` says it",
    "--node-rank": "each pod of a replica has its own",
    "--master-addr": "the pods of a replica know their leader",
    "--master-port": "the network policy allows one fixed port",
    "--headless": "the pods of a replica know whether they lead",
    "--distributed-executor-backend": "one machine or several, the processes need no Ray",
    "--trust-remote-code": "code that comes with weights does not run here",
    "--config": "the arguments stand in the plan and the overrides, nowhere else",
    "--enable-log-requests": "prompts and answers are in no log",
    "--enable-log-outputs": "prompts and answers are in no log",
    "--middleware": "foreign code does not run in the model server",
}
"""Flags that vLLM knows and `engine_args` may not bear, with the reason."""

OWNER_FLAGS = (
    *("--max-model-len", "--max-num-seqs", "--max-num-batched-tokens", "--gpu-memory-utilization"),
    *("--kv-cache-dtype", "--seed"),
)
"""Flags that a model's owner may change in the cluster. None of them opens a port, loads code or writes a log."""


@functools.cache
def _names(key: str) -> frozenset[str]:
    import json
    from pathlib import Path

    return frozenset(json.loads(Path(__file__).with_name("vllm_flags.json").read_text("utf-8"))[key])


def flags() -> frozenset[str]:
    """Every flag, `--` included."""
    return _names("flags")


def tool_call_parsers() -> frozenset[str]:
    """Every value of `--tool-call-parser`."""
    return _names("tool_call_parsers")


def reasoning_parsers() -> frozenset[str]:
    """Every value of `--reasoning-parser`."""
    return _names("reasoning_parsers")


def name_of(argument: str) -> str | None:
    """The flag in an argument (`--a=b` → `--a`); None for a value. Raises nothing."""
    return argument.partition("=")[0] if argument.startswith("-") and not _number(argument) else None


def is_known(flag: str) -> bool:
    """Whether `vllm serve` knows the flag; a switch may also be turned off as `--no-…`, and `_` is as `-`."""
    normalised = flag.replace("_", "-")
    if normalised.partition(".")[0] in flags():  # a key of a JSON option: `--speculative-config.model`
        return True
    return normalised.startswith("--no-") and "--" + normalised.removeprefix("--no-") in flags()


def check_args(args: Iterable[str]) -> None:
    """Raise `InputError` on the first flag that the pinned vLLM does not know, with the nearest name.

    Values (arguments without `-`) are not judged.
    """
    for argument in args:
        flag = name_of(argument)
        if flag is not None and not is_known(flag):
            from isthmus.core.validation_errors import did_you_mean

            hint = did_you_mean(flag, flags()) or "See `vllm serve --help=all`"
            raise InputError(f"vLLM {VERSION} has no flag `{flag}`", fix=hint)


def check_engine_args(args: Iterable[str]) -> None:
    """As `check_args`, for arguments that a user adds: refuses `RESERVED` ones too.

    Those belong to other fields of the contract, or would open a way past the sidecar.
    """
    arguments = list(args)
    for argument in arguments:
        flag = name_of(argument)
        normalised = flag.replace("_", "-") if flag else ""
        if normalised in RESERVED:
            raise InputError(
                f"`{flag}` may not be set in engine_args: {RESERVED[normalised]}", fix="Remove it"
            )
    check_args(arguments)


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
