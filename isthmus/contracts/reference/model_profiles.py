"""What vLLM needs for a family of models: parsers, chat template, CPU and memory. Data stands in `model_profiles.json`.

The planner counts a machine's CPU and memory with these figures, and a model server runs with them. A value that an
endpoint states goes before its profile's. Rows are tried in order, and the first whose pattern fits a model wins.
"""

from __future__ import annotations

import functools
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.contracts.reference.vllm_flags import reasoning_parsers, tool_call_parsers
from isthmus.core.errors import FieldError
from isthmus.core.validation_errors import did_you_mean, known_names

NONE = "none"
"""States on an endpoint that it has no tool-call parser or no reasoning parser, whatever its profile says."""
OWN_TEMPLATE = "model"
"""States on an endpoint that it uses the chat template in the model's folder, whatever its profile says."""
PROCESSES = 2
"""Processes of a vLLM server besides one worker for each GPU: the API server and the engine core."""
SHARED_MEMORY_GIB = 16
"""Size of `/dev/shm`, through which the workers of a replica exchange tensors; it counts against its memory."""
LOAD_TIMEOUT_S = 1800
"""The least time that starting may take: pulling an image and reading weights over a slow network count too."""
SIDECAR_STREAMS = 256
"""Streams at which a sidecar uses a whole core. It is one process, so more cores do not help it."""


@dataclass(frozen=True)
class Size:
    """What a replica needs on each of its machines: an amount and so much more for each GPU there."""

    cpu: tuple[int, int]
    memory_gib: tuple[int, int]
    startup_s: tuple[int, int]
    evidence: str
    source: str
    as_of: str

    def cpus(self, gpus: int) -> int:
        """CPUs (hardware threads) for so many GPUs of one machine."""
        return self.cpu[0] + self.cpu[1] * gpus

    def memory(self, gpus: int) -> int:
        """GiB of memory for so many GPUs of one machine."""
        return self.memory_gib[0] + self.memory_gib[1] * gpus

    def startup(self, gpus: int) -> int:
        """Seconds from start to the first answer: weights on a local disk, nothing compiled yet."""
        return self.startup_s[0] + self.startup_s[1] * gpus

    def load_timeout(self, gpus: int) -> int:
        """Seconds after which a start counts as failed."""
        return max(LOAD_TIMEOUT_S, 2 * self.startup(gpus))


@dataclass(frozen=True)
class ModelProfile:
    """How vLLM serves one family of models."""

    family: str
    pattern: str
    """Regular expression that fits the names of its models, in lower case."""
    tool_call_parser: str | None
    """None: vLLM has no parser for its tool calls, or it makes none."""
    reasoning_parser: str | None
    """None: it does not reason, or what it thinks is not marked."""
    chat_template: str | None
    """Path in vLLM's image of a template that the model does not bring; None: the model's own."""
    size: Size
    source: str
    as_of: str
    note: str = ""


@functools.cache
def profiles() -> tuple[ModelProfile, ...]:
    """Every family, in the order in which names are tried."""
    data = _data()
    sizes = {name: _size(row) for name, row in data["sizes"].items()}
    return tuple(ModelProfile(**{**row, "size": sizes[row["size"]]}) for row in data["families"])


def families() -> tuple[str, ...]:
    """The families' names."""
    return tuple(profile.family for profile in profiles())


def find_profile(model: str, family: str | None = None) -> ModelProfile | None:
    """The profile of a model by the family that its endpoint states, or by its name; None for an unknown one.

    Raises `FieldError` for a family that does not exist.
    """
    if family is not None:
        profile = next((profile for profile in profiles() if profile.family == family), None)
        if profile is None:
            raise FieldError(
                f"`{family}` is not a family of models that has a profile",
                "model_family",
                fix=known_names(family, families()),
            )
        return profile
    name = model.lower()
    return next((profile for profile in profiles() if re.search(profile.pattern, name)), None)


def size_of(model: str, family: str | None = None) -> Size:
    """The size of a model's family; of text models in general where it has no profile."""
    profile = find_profile(model, family)
    return profile.size if profile is not None else _size(_data()["sizes"]["text"])


def requests_of(model: str, gpus: int, family: str | None = None) -> dict[str, Any]:
    """`cpu`, `memory` and `load_timeout_s` of a replica with so many GPUs on a machine, as an endpoint states them.

    Raises `FieldError` for a family that does not exist.
    """
    size = size_of(model, family)
    return {
        "cpu": str(size.cpus(gpus)),
        "memory": f"{size.memory(gpus)}Gi",
        "load_timeout_s": size.load_timeout(gpus),
    }


def min_cpus(gpus: int) -> int:
    """CPUs without which a server of so many GPUs on one machine is starved: a thread for each of its processes."""
    return PROCESSES + gpus


def min_memory_gib(gpus: int) -> int:
    """GiB of memory below which a server does not start: 8 for both server processes, 8 for each worker. An
    assumption."""
    return 8 + 8 * gpus


def sidecar_millicores(max_num_seqs: int | None) -> int:
    """CPU of the sidecar before an engine: 250m, and 750m more for 256 streams, in steps of 50m.

    A quarter of a core keeps connections and probes. Streams cost the rest: with 256 of them a sidecar of 500m needed
    about twice as much (measured for issue 21). None: vLLM's own default, which is 256 or more.
    """
    streams = min(max_num_seqs or SIDECAR_STREAMS, SIDECAR_STREAMS)
    return math.ceil((250 + 750 * streams / SIDECAR_STREAMS) / 50) * 50


def check_parsers(tool_call_parser: str | None, reasoning_parser: str | None) -> None:
    """Raises `FieldError` for a parser that the pinned vLLM does not have: its pod would end at every start."""
    for key, name, parsers in (
        ("tool_call_parser", tool_call_parser, tool_call_parsers()),
        ("reasoning_parser", reasoning_parser, reasoning_parsers()),
    ):
        if name is not None and name != NONE and name not in parsers:
            raise FieldError(
                f"vLLM has no {key.replace('_', ' ')} `{name}`",
                key,
                fix=f"{did_you_mean(name, parsers)} `{NONE}` turns it off; vllm_flags.json has all".strip(),
            )


def unknown_family(endpoint: str, model: str) -> str:
    """The warning for an endpoint whose model has no profile, with the settings that take its place."""
    return (
        f"{endpoint}: no profile is known for the model `{model}`, so tool calls are refused and reasoning stays in "
        "the answer's text. Fix: state `model_family`, or `tool_call_parser`, `reasoning_parser`, `chat_template`, "
        "`cpu` and `memory` on the endpoint in the overrides"
    )


@functools.cache
def _data() -> dict[str, Any]:
    return json.loads(Path(__file__).with_name("model_profiles.json").read_text("utf-8"))


def _size(row: dict[str, Any]) -> Size:
    pairs = {key: (row[key]["base"], row[key]["per_gpu"]) for key in ("cpu", "memory_gib", "startup_s")}
    return Size(**pairs, evidence=row["evidence"], source=row["source"], as_of=row["as_of"])
