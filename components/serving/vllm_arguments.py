"""The arguments of `vllm serve`, from an endpoint's engine settings; every flag is one that it knows."""

import json
import re
from collections.abc import Mapping
from typing import Any

from components.base.argument_checks import one_of
from components.cluster.objects import ENGINE_PORT
from components.serving.arguments import LoraAdapter, ModelServerArgs
from components.serving.weights.node_cache import node_path
from isthmus.contracts.platform.model.serving import CHAT_TEMPLATE
from isthmus.contracts.platform.rules.serving import GUESSES_BY_WEIGHTS, WRITES
from isthmus.contracts.reference import model_profiles
from isthmus.contracts.reference.vllm_flags import VERSION, check_engine_args, name_of
from isthmus.contracts.vocabulary import WHILE_LOADING
from isthmus.core.errors import FieldError, InputError

MODELS = "/models"
"""Where the weights are mounted."""
CACHE = "/cache"
SHUTDOWN_TIMEOUT_S = 40
"""For answers under way; with the 15 s before it, within the pod's 60 s of grace."""
TASKS = ("chat", "embedding", "rerank", "guard")
PREFIX_CACHES = ("shared", "salted", "off")
GUESSES = ("ngram", "draft_model", "eagle", "eagle3", "mtp")
"""Methods of speculative decoding."""
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What `--max-lora-rank` accepts."""


def below(digest: str) -> str:
    """The folder of the cache in which these weights lie: others may lie beside them while pods are rolled."""
    return digest.removeprefix("sha256:")


def models(settings: ModelServerArgs) -> str:
    """The folder in the container from which paths of adapters and of draft models lead.

    A machine's own disk is mounted whole, as one folder of the class: with a `subPath`, kubelet would make the
    folder that is missing, and the engine start from nothing.
    """
    if node_path(settings) is None:
        return MODELS
    return f"{MODELS}/{settings['id']}/{below(settings['weights']['digest'])}"


def weights_path(settings: ModelServerArgs) -> str:
    """Path of the weights in the container."""
    uri = settings["weights"]["uri"]
    path = uri.removeprefix("pvc://").partition("/")[2] if uri.startswith("pvc://") else ""
    return f"{models(settings)}/{path}".rstrip("/")


def arguments(settings: ModelServerArgs, where: str) -> list[str]:
    """The arguments after `vllm serve`. Raises `InputError` for a setting that the engine cannot meet."""
    check_version(settings.get("engine_version", VERSION), where)
    weights = settings["weights"]
    made = [
        weights_path(settings),
        f"--served-model-name={settings['model']}",
        "--host=127.0.0.1",
        f"--port={ENGINE_PORT}",
        f"--tensor-parallel-size={settings.get('tensor_parallel', 1)}",
        # Workers of one machine as processes: Ray would want a network.
        "--distributed-executor-backend=mp",
    ]
    made += limits(settings)
    made += precision(settings.get("precision"), weights.get("precision", "bf16"), where)
    made += _task(settings, where)
    made += parsers(settings, settings["model"], models(settings), where)
    made += _speculative(settings, where)
    made += _adapters(settings.get("adapters", []), models(settings))
    made += [
        f"--shutdown-timeout={settings.get('drain_s', SHUTDOWN_TIMEOUT_S)}",
        "--disable-access-log-for-endpoints=/health,/metrics,/ping",
        "--disable-fastapi-docs",
    ]
    further = settings.get("engine_args", [])
    check_engine_args(further)
    return made + list(further)


def parsers(settings: Mapping[str, Any], model: str, root: str, where: str) -> list[str]:
    """How tool calls and reasoning are read from what a model writes, for a server's settings or a SageMaker
    endpoint's.

    A value in the settings goes before the profile's of the model's family, and a flag in `engine_args` before both.
    `root`: the folder from which a relative path of a chat template leads. Raises `InputError` for a parser or a family
    that does not exist.
    """
    task = settings.get("task", "chat")
    if task not in WRITES:
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
            f"`{template[:80]}` is no path of a chat template",
            where=f"{where}.chat_template",
            fix="State `model`, an absolute path in the image, or a path below the weights, without `..`",
        )
    if profile is not None:
        # A guard's whole text is its verdict: tools are for chats.
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
    stated = {(name_of(argument) or "").replace("_", "-") for argument in settings.get("engine_args", [])}
    return [argument for argument in flags if name_of(argument) not in stated]


def check_version(version: str, where: str) -> None:
    if version.removeprefix("v") != VERSION:
        raise InputError(
            f"vLLM {version} is asked for",
            where=f"{where}.engine_version",
            fix=f"This version knows the flags of vLLM {VERSION}",
        )


def limits(settings: Mapping[str, Any]) -> list[str]:
    """What bounds the engine's memory and batches, of a server's settings or a SageMaker endpoint's."""
    flags = ("max-model-len", "max-num-seqs", "gpu-memory-utilization", "kv-cache-dtype")
    given = {flag: settings.get(flag.replace("-", "_")) for flag in flags}
    return [f"--{flag}={value}" for flag, value in given.items() if value is not None]


def precision(wanted: str | None, stored: str, where: str) -> list[str]:
    """How weights stored in one precision are served in the one that is wanted; None: as they are stored."""
    if wanted is None or wanted == stored:
        return ["--dtype=bfloat16"] if wanted == "bf16" else []
    if stored == "bf16" and wanted in WHILE_LOADING:
        return [f"--quantization={wanted}"]
    raise InputError(
        f"weights stored in {stored} cannot be served in {wanted}",
        where=f"{where}.precision",
        fix=f"Name weights stored in {wanted} (weights.precision), or serve in {stored}",
    )


def _task(settings: ModelServerArgs, where: str) -> list[str]:
    """How the engine is run for what it is asked, and whose prefixes it keeps."""
    task = one_of(settings.get("task", "chat"), TASKS, f"{where}.task")
    cache = one_of(settings.get("prefix_cache", "shared"), PREFIX_CACHES, f"{where}.prefix_cache")
    pools = task not in WRITES
    if pools and cache == "salted":
        raise InputError(
            f"a request for {task} takes no salt", where=f"{where}.prefix_cache", fix="Say off, or shared"
        )
    made = ["--runner=pooling"] if pools else []
    if cache == "off":
        return [*made, "--no-enable-prefix-caching"]
    # An endpoint serves one class, so no other class can time its cache. Whether a pooling model can have one is
    # the engine's to know.
    made += [] if pools else ["--enable-prefix-caching"]
    if cache == "salted":
        # A salt keeps teams apart only where two prompts cannot be made to share a block's hash.
        made.append("--prefix-caching-hash-algo=sha256")
    return made


def _speculative(settings: ModelServerArgs, where: str) -> list[str]:
    guesses, here = settings.get("speculative"), f"{where}.speculative"
    if guesses is None:
        return []
    method = one_of(guesses["method"], GUESSES, f"{here}.method")
    path = guesses.get("path")
    if settings.get("task", "chat") not in WRITES:
        raise InputError("it writes no text to guess ahead", where=here, fix="Leave it out")
    if settings.get("nodes_per_replica", 1) > 1:
        raise InputError(
            "vLLM guesses ahead within one machine only (no pipeline parallelism)",
            where=here,
            fix="Leave it out, or say nodes_per_replica 1",
        )
    if (method in GUESSES_BY_WEIGHTS) != (path is not None):
        what = "needs the path of its own weights" if path is None else "has no weights of its own"
        raise InputError(f"{method} {what}", where=f"{here}.path")
    if guesses["tokens"] < 1:
        raise InputError(f"{guesses['tokens']} tokens guessed at a time", where=f"{here}.tokens")
    told: dict[str, Any] = {"method": method, "num_speculative_tokens": guesses["tokens"]}
    if path is not None:
        told["model"] = f"{models(settings)}/{path}"
    return [f"--speculative-config={json.dumps(told, separators=(',', ':'))}"]


def _adapters(adapters: list[LoraAdapter], root: str) -> list[str]:
    if not adapters:
        return []
    widest = max(adapter["rank"] for adapter in adapters)
    rank = next((allowed for allowed in LORA_RANKS if allowed >= widest), None)
    if rank is None:
        raise InputError(f"a LoRA rank of {widest} is above {LORA_RANKS[-1]}", where="adapters")
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
    # Nothing is fetched and nothing is reported.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # The workers of one replica talk over the loopback.
    "VLLM_HOST_IP": "127.0.0.1",
    # Caches on the one writable volume.
    "HOME": CACHE,
    "XDG_CACHE_HOME": CACHE,
    "HF_HOME": f"{CACHE}/huggingface",
    "VLLM_CONFIG_ROOT": f"{CACHE}/vllm-config",
}
