"""Builds the arguments of `vllm serve` from an endpoint's engine settings."""

import json
import re
from collections.abc import Mapping
from typing import Any

from components.base.argument_checks import check_choice
from components.cluster.objects import ENGINE_PORT
from components.serving.arguments import LoraAdapter, ModelServerArgs
from components.serving.weights.paths import models_folder, weights_path
from isthmus.contracts.platform.lookups.engine_settings import VLLM_FLAGS
from isthmus.contracts.platform.model.serving import CHAT_TEMPLATE
from isthmus.contracts.platform.rules.serving import METHODS_WITH_WEIGHTS, TEXT_TASKS
from isthmus.contracts.reference import model_profiles
from isthmus.contracts.reference.vllm_flags import VERSION, check_engine_args, name_of
from isthmus.contracts.vocabulary import PRECISIONS_MADE_WHILE_LOADING
from isthmus.core.errors import FieldError, InputError

CACHE = "/cache"
SHUTDOWN_TIMEOUT_S = 40
"""Seconds for running answers. With the 15 s before, within the pod's grace period of 60 s."""
TASKS = ("chat", "embedding", "rerank", "guard")
PREFIX_CACHES = ("shared", "salted", "off")
GUESSES = ("ngram", "draft_model", "eagle", "eagle3", "mtp")
"""Methods of speculative decoding."""
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values that `--max-lora-rank` accepts."""


def vllm_serve_arguments(settings: ModelServerArgs, where: str) -> list[str]:
    """The arguments after `vllm serve`. Raises `InputError` for a setting that the engine does not support."""
    check_version(settings.get("engine_version", VERSION), where)
    weights = settings["weights"]
    flags = [
        weights_path(settings),
        f"--served-model-name={settings['model']}",
        "--host=127.0.0.1",
        f"--port={ENGINE_PORT}",
        f"--tensor-parallel-size={settings.get('tensor_parallel', 1)}",
        # Workers of one node as processes, because Ray would need a network.
        "--distributed-executor-backend=mp",
    ]
    flags += vllm_flags(settings)
    flags += precision_flags(settings.get("precision"), weights.get("precision", "bf16"), where)
    flags += _task(settings, where)
    flags += parser_flags(settings, settings["model"], models_folder(settings), where)
    flags += _scheduling(settings)
    flags += _speculative(settings, where)
    flags += _adapters(settings.get("adapters", []), models_folder(settings))
    flags += [
        # How many prompt tokens the prefix cache had, for the gateway's metrics. The gateway hides it from callers.
        *(["--enable-prompt-tokens-details"] if settings.get("task", "chat") in TEXT_TASKS else []),
        f"--shutdown-timeout={settings.get('drain_s', SHUTDOWN_TIMEOUT_S)}",
        "--disable-access-log-for-endpoints=/health,/metrics,/ping",
        "--disable-fastapi-docs",
    ]
    extra_flags = settings.get("engine_args", [])
    check_engine_args(extra_flags)
    return flags + list(extra_flags)


def vllm_flags(settings: Mapping[str, Any]) -> list[str]:
    """The flags of `vllm serve` for the settings that have a value."""
    flags: list[str] = []
    for name in VLLM_FLAGS:
        flag, value = name.replace("_", "-"), settings.get(name)
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            flags.append(f"--{flag}={value}")
    return flags


def parser_flags(settings: Mapping[str, Any], model: str, root: str, where: str) -> list[str]:
    """The flags with which vLLM parses tool calls and reasoning, for a model server or a SageMaker endpoint.

    A setting overrides the profile of the model's family, and a flag in `engine_args` overrides both. `root`:
    folder of relative chat template paths. Raises `InputError` for an unknown parser or family.
    """
    task = settings.get("task", "chat")
    if task not in TEXT_TASKS:
        return []
    tools, reasoning = settings.get("tool_call_parser"), settings.get("reasoning_parser")
    template = settings.get("chat_template")
    try:
        model_profiles.check_parsers(tools, reasoning)
        profile = model_profiles.find_profile(model, settings.get("model_family"))
    except FieldError as error:
        raise InputError(error.what, where=".".join([where, *map(str, error.path)]), fix=error.fix) from None
    if template is not None and re.fullmatch(CHAT_TEMPLATE, template) is None:
        raise InputError(
            f"`{template[:80]}` is not a valid path of a chat template",
            where=f"{where}.chat_template",
            fix="Set `model`, an absolute path in the image, or a path below the weights, without `..`",
        )
    if profile is not None:
        # A guard's whole text is its verdict. Tools are for chats.
        tools = (profile.tool_call_parser if task == "chat" else None) if tools is None else tools
        reasoning = profile.reasoning_parser if reasoning is None else reasoning
        if template is None and tools == profile.tool_call_parser:
            template = profile.chat_template
    flags: list[str] = []
    if tools not in (None, model_profiles.NONE):
        flags += ["--enable-auto-tool-choice", f"--tool-call-parser={tools}"]
    if reasoning not in (None, model_profiles.NONE):
        flags.append(f"--reasoning-parser={reasoning}")
    if template not in (None, model_profiles.OWN_TEMPLATE):
        flags.append(f"--chat-template={template if template.startswith('/') else f'{root}/{template}'}")
    stated_flags = {
        (name_of(argument) or "").replace("_", "-") for argument in settings.get("engine_args", [])
    }
    return [argument for argument in flags if name_of(argument) not in stated_flags]


def check_version(version: str, where: str) -> None:
    if version.removeprefix("v") != VERSION:
        raise InputError(
            f"vLLM {version} is not supported",
            where=f"{where}.engine_version",
            fix=f"Set engine_version to {VERSION}: this version of Isthmus knows the flags of vLLM {VERSION}",
        )


def precision_flags(served: str | None, stored: str, where: str) -> list[str]:
    """The flags to serve weights of one precision in another one. `served` None: as stored."""
    if served is None or served == stored:
        return ["--dtype=bfloat16"] if served == "bf16" else []
    if stored == "bf16" and served in PRECISIONS_MADE_WHILE_LOADING:
        return [f"--quantization={served}"]
    raise InputError(
        f"weights stored in {stored} cannot be served in {served}",
        where=f"{where}.precision",
        fix=f"Use weights stored in {served} (weights.precision), or serve in {stored}",
    )


def _scheduling(settings: ModelServerArgs) -> list[str]:
    """The flag with which the engine obeys the priority that gateways give to lines of batches."""
    stated = {(name_of(argument) or "").replace("_", "-") for argument in settings.get("engine_args", [])}
    wanted = settings.get("batches", False) and "--scheduling-policy" not in stated
    return ["--scheduling-policy=priority"] if wanted else []


def _task(settings: ModelServerArgs, where: str) -> list[str]:
    """The flags for the task, and for prefix caching."""
    task = check_choice(settings.get("task", "chat"), TASKS, f"{where}.task")
    cache = check_choice(settings.get("prefix_cache", "shared"), PREFIX_CACHES, f"{where}.prefix_cache")
    is_pooling = task not in TEXT_TASKS
    if is_pooling and cache == "salted":
        raise InputError(
            f"a request for {task} cannot have a cache salt",
            where=f"{where}.prefix_cache",
            fix="Set prefix_cache to off or shared",
        )
    flags = ["--runner=pooling"] if is_pooling else []
    if cache == "off":
        return [*flags, "--no-enable-prefix-caching"]
    # An endpoint serves one class, so no other class can time its cache. Whether a pooling model supports a cache
    # is left to the engine.
    flags += [] if is_pooling else ["--enable-prefix-caching"]
    if cache == "salted":
        # A salt separates teams only if two prompts cannot produce the same block hash.
        flags.append("--prefix-caching-hash-algo=sha256")
    return flags


def _speculative(settings: ModelServerArgs, where: str) -> list[str]:
    speculation, place = settings.get("speculative"), f"{where}.speculative"
    if speculation is None:
        return []
    method = check_choice(speculation["method"], GUESSES, f"{place}.method")
    path = speculation.get("path")
    if settings.get("task", "chat") not in TEXT_TASKS:
        raise InputError(
            "speculative decoding needs a task that writes text", where=place, fix="Remove speculative"
        )
    if settings.get("nodes_per_replica", 1) > 1:
        raise InputError(
            "speculative decoding works within one machine only (no pipeline parallelism)",
            where=place,
            fix="Remove speculative, or set nodes_per_replica to 1",
        )
    if (method in METHODS_WITH_WEIGHTS) != (path is not None):
        problem = "needs the path of its own weights" if path is None else "has no weights of its own"
        raise InputError(f"{method} {problem}", where=f"{place}.path")
    if speculation["tokens"] < 1:
        raise InputError(
            f"{speculation['tokens']} speculative tokens; at least 1 is needed", where=f"{place}.tokens"
        )
    config: dict[str, Any] = {"method": method, "num_speculative_tokens": speculation["tokens"]}
    if path is not None:
        config["model"] = f"{models_folder(settings)}/{path}"
    return [f"--speculative-config={json.dumps(config, separators=(',', ':'))}"]


def _adapters(adapters: list[LoraAdapter], root: str) -> list[str]:
    if not adapters:
        return []
    max_rank = max(adapter["rank"] for adapter in adapters)
    rank = next((allowed for allowed in LORA_RANKS if allowed >= max_rank), None)
    if rank is None:
        raise InputError(
            f"a LoRA rank of {max_rank} is above the maximum of {LORA_RANKS[-1]}", where="adapters"
        )
    modules = [
        f"{adapter['name']}={root}/{adapter.get('path') or 'adapters/' + adapter['name']}"
        for adapter in adapters
    ]
    return [
        "--enable-lora",
        f"--max-loras={len(adapters)}",
        f"--max-lora-rank={rank}",
        "--lora-modules",
        *modules,
    ]


ENVIRONMENT = {
    # No downloads and no usage reports.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # The workers of one replica communicate over loopback.
    "VLLM_HOST_IP": "127.0.0.1",
    # Caches are on the only writable volume.
    "HOME": CACHE,
    "XDG_CACHE_HOME": CACHE,
    "HF_HOME": f"{CACHE}/huggingface",
    "VLLM_CONFIG_ROOT": f"{CACHE}/vllm-config",
}
