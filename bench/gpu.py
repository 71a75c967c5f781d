"""Compares `isthmus size` with vLLM on this machine's GPU, with dummy weights: `make gpu`.

It starts vLLM of the pinned version, in an environment of its own outside the checkout, with the arguments that a model
server is rendered with. Weights are random (`--load-format dummy`), configuration and tokenizer are made here, so no
hub is asked. It prints ratios of measured and predicted figures: memory of the weights, tokens of the KV cache, output
tokens a second. Exit 0: all within their bounds, or no GPU at hand (the reason is printed). 1: a figure is not.
3: vLLM could not be installed or did not start.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx

from components.serving.arguments import ModelServerArgs
from components.serving.vllm_arguments import ENVIRONMENT, arguments
from isthmus.contracts.hardware.gpus import GPUS
from isthmus.contracts.reference.vllm_flags import VERSION
from isthmus.core.errors import EnvironmentFault, InputError
from isthmus.planning.catalogues import gpus, models
from isthmus.planning.sizing import question
from isthmus.planning.sizing import size as sizing
from sandbox.toolchain import cache

MODELS = ("Qwen/Qwen3-0.6B", "meta-llama/Llama-3.2-1B-Instruct", "Qwen/Qwen3-8B")
"""Small models of the catalogue, of two families; one that does not fit the GPU is left out."""
PROMPT, OUTPUT, CALLERS = 512, 128, 32
"""Tokens of each prompt and of each answer, and callers that ask again once they are answered."""
MODEL_LEN, MOST_SEQS, UTILIZATION = 4096, 64, 0.9
START_S, WARM_S, MEASURE_S = 900, 10, 40
BOUNDS = {"weights, GiB": (0.9, 1.1), "KV cache, tokens": (0.85, 1.15), "output tokens/s": (0.6, 1.67)}
"""Ratios of measured to predicted that are allowed. Throughput has the width of the widest 80 % interval."""
MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<|python_tag|>")
"""Tokens that the parsers of these families look up in the vocabulary."""
_WEIGHTS = re.compile(r"Model loading took ([\d.]+) GiB")
_CACHE = re.compile(r"KV cache size: ([\d,]+) tokens")


@dataclass(frozen=True)
class Card:
    """A GPU of this machine."""

    name: str
    """As the driver names it."""
    memory_mib: int
    id: str | None
    """Isthmus' id of it; None for a card that the catalogue does not have."""


@dataclass(frozen=True)
class Figures:
    """What was measured, or predicted, of one model."""

    weights_gib: float
    kv_cache_tokens: float
    tokens_per_s: float

    def rows(self) -> dict[str, float]:
        """By the names that `BOUNDS` has."""
        return dict(zip(BOUNDS, (self.weights_gib, self.kv_cache_tokens, self.tokens_per_s), strict=True))


def cards_of(text: str) -> list[Card]:
    """The GPUs in what `nvidia-smi --query-gpu=name,memory.total --format=csv,noheader,nounits` prints."""
    products = {gpu.product: gpu.id for gpu in GPUS.values()}
    cards = []
    for line in text.splitlines():
        name, _, memory = line.rpartition(",")
        if name.strip() and memory.strip().isdigit():
            product = name.strip().replace(" ", "-")
            cards.append(Card(name.strip(), int(memory), products.get(product)))
    return cards


def find_cards() -> tuple[list[Card], str]:
    """The GPUs of this machine, and why there are none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return [], "nvidia-smi is not on PATH, so there is no NVIDIA GPU here"
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], f"nvidia-smi does not answer: {error}"
    if done.returncode:
        return [], f"nvidia-smi ends with {done.returncode}: {(done.stderr or done.stdout).strip()[:200]}"
    cards = cards_of(done.stdout)
    return cards, "" if cards else "nvidia-smi lists no GPU"


def install() -> Path:
    """The Python that has the pinned vLLM, made where it is not there. Raises `EnvironmentFault`."""
    version = f"py{sys.version_info.major}.{sys.version_info.minor}"
    target = cache.root() / f"gpu-vllm-{VERSION}-{version}-{cache.machine()}"
    with cache.exclusive(target, "another run installs vLLM; waiting for it", print):
        if not (target / "bin" / "python").exists():
            print(f"installing vLLM {VERSION} into {target}: several GiB, minutes")
            with cache.fill_folder(target) as folder:
                python = str(folder / "bin" / "python")
                pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
                for command in (
                    [sys.executable, "-m", "venv", str(folder)],
                    [*pip, "--only-binary", ":all:", f"vllm=={VERSION}"],
                ):
                    done = subprocess.run(command, capture_output=True, text=True, check=False)
                    if done.returncode:
                        raise EnvironmentFault(
                            f"vLLM {VERSION} cannot be installed: {done.stderr.strip()[-400:]}",
                            fix="Check that pip reaches its index and that the disk has 20 GiB",
                        )
    return target / "bin" / "python"


def write_model(folder: Path, model: str) -> None:
    """Configuration and tokenizer of a catalogue model, as vLLM reads them; no weights."""
    row = next(row for row in models.rows() if row["id"] == model)
    config = {key: value for key, value in row["config"].items() if key != "rope_scaling"}
    words = config["vocab_size"] - len(MARKS)
    vocabulary = {f"t{number}": number for number in range(words)}
    vocabulary |= {mark: words + number for number, mark in enumerate(MARKS)}
    added = [
        {
            **{"id": vocabulary[mark], "content": mark, "special": False, "normalized": False},
            **{"single_word": False, "lstrip": False, "rstrip": False},
        }
        for mark in MARKS
    ]
    tokenizer = {
        **{"version": "1.0", "truncation": None, "padding": None, "added_tokens": added},
        **{"normalizer": None, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None},
        **{"decoder": None, "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "t0"}},
    }
    settings = {
        **{"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "t0", "eos_token": "t1"},
        **{
            "model_max_length": MODEL_LEN,
            "chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}",
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("config.json", {**config, "torch_dtype": "bfloat16"}),
        ("tokenizer.json", tokenizer),
        ("tokenizer_config.json", settings),
    ):
        (folder / name).write_text(json.dumps(content), "utf-8")


def serve_command(python: Path, model: str, folder: Path, port: int) -> list[str]:
    """vLLM with the arguments that a model server of this model is rendered with, but for its folder and its port."""
    settings = {
        **{
            "id": "gpu",
            "model": model,
            "precision": "bf16",
            "tensor_parallel": 1,
            "max_model_len": MODEL_LEN,
        },
        **{"max_num_seqs": MOST_SEQS, "gpu_memory_utilization": UTILIZATION},
        "weights": {"uri": "pvc://weights", "digest": "sha256:" + "0" * 64},
    }
    _, *rendered = arguments(cast(ModelServerArgs, settings), "gpu")
    rendered = [argument for argument in rendered if not argument.startswith("--port=")]
    return [
        *(str(python.with_name("vllm")), "serve", str(folder)),
        *(*rendered, f"--port={port}", "--load-format=dummy"),
    ]


def predicted(model: str, card: str) -> Figures:
    """What `isthmus size` says of the same case. Raises `InputError` where it does not fit."""
    answer = sizing.answer_question(
        question.build_question(
            *(models.find_model(model), gpus.find(card)),
            **{"precision": "bf16", "tensor_parallel": 1, "pipeline_parallel": 1, "mig": None},
            **{"rate": None, "callers": float(CALLERS), "ttft_ms": None, "tpot_ms": None},
            **{"prompt": PROMPT, "output": OUTPUT, "prompt_p95": None, "output_p95": None},
            **{"hit": 0.0, "burst": 1.0, "max_model_len": MODEL_LEN, "max_num_seqs": MOST_SEQS},
            **{"cache_dtype": "auto", "utilization": UTILIZATION},
        )
    )
    if not answer.fits or answer.min_gpus != 1:
        raise InputError(f"{model} does not fit one {card}", fix="It is left out")
    rate = answer.throughput_tokens_per_s or 0.0
    return Figures(answer.weights_gib, answer.kv_cache_tokens, rate)


def logged(text: str) -> tuple[float, float] | None:
    """GiB of weights and tokens of the KV cache, as vLLM's log has them; None where it does not."""
    weights, tokens = _WEIGHTS.search(text), _CACHE.search(text)
    return (float(weights[1]), float(tokens[1].replace(",", ""))) if weights and tokens else None


def compare(measured: Figures, prediction: Figures) -> list[tuple[str, float, float, float, bool]]:
    """For each figure: its name, measured, predicted, their ratio, and whether that is within its bound."""
    rows = []
    for name, value in measured.rows().items():
        expected, (low, high) = prediction.rows()[name], BOUNDS[name]
        ratio = value / expected if expected else float("inf")
        rows.append((name, value, expected, ratio, low <= ratio <= high))
    return rows


@contextlib.contextmanager
def serving(command: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """vLLM while it serves. Raises `EnvironmentFault` where it ends or does not answer in time."""
    environment = {
        **{key: value for key, value in ENVIRONMENT.items() if not value.startswith("/cache")},
        **{"PATH": f"{Path(command[0]).parent}:/usr/local/cuda/bin:/usr/bin:/bin", "HOME": str(log.parent)},
    }
    with log.open("w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
        try:
            deadline = time.monotonic() + START_S
            while not _answers(port):
                if server.poll() is not None or time.monotonic() > deadline:
                    end = log.read_text("utf-8", "replace")[-1500:]
                    what = "does not answer" if server.poll() is None else f"ended with {server.returncode}"
                    raise EnvironmentFault(
                        f"vLLM {what}. Its log ends: {end}",
                        fix="Check the driver and the free memory of the GPU",
                    )
                time.sleep(2)
            yield
        finally:
            server.terminate()
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def throughput(port: int, model: str, vocabulary: int) -> float:
    """Output tokens a second while `CALLERS` callers ask again once they are answered."""
    begin = time.monotonic() + WARM_S
    end = begin + MEASURE_S

    def call(number: int) -> int:
        draw, counted = random.Random(number), 0
        with httpx.Client(timeout=120) as client:
            while time.monotonic() < end:
                # Another prompt each time: no prefix is cached.
                prompt = [draw.randrange(2, vocabulary - len(MARKS)) for _ in range(PROMPT)]
                body = {"model": model, "prompt": prompt, "max_tokens": OUTPUT, "ignore_eos": True}
                answer = client.post(f"http://127.0.0.1:{port}/v1/completions", json=body)
                answer.raise_for_status()
                if begin <= time.monotonic() <= end:
                    counted += answer.json()["usage"]["completion_tokens"]
        return counted

    with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
        return sum(pool.map(call, range(CALLERS))) / MEASURE_S


def measure(python: Path, model: str, folder: Path) -> Figures:
    """Start it, load it, and read its log. Raises `EnvironmentFault`."""
    write_model(folder / "model", model)
    config: dict[str, Any] = json.loads((folder / "model" / "config.json").read_text("utf-8"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = folder / "vllm.log"
    with serving(serve_command(python, model, folder / "model", port), port, log):
        rate = throughput(port, model, config["vocab_size"])
    figures = logged(log.read_text("utf-8", "replace"))
    if figures is None:
        raise EnvironmentFault(
            "vLLM's log names neither weights nor KV cache", fix=f"Look whether vLLM {VERSION} is what runs"
        )
    return Figures(*figures, rate)


def main() -> int:
    """Exit code of `make gpu`."""
    cards, why = find_cards()
    if not cards:
        print(f"make gpu: skipped: {why}")
        return 0
    card = cards[0]
    if card.id is None:
        print(f"make gpu: skipped: the catalogue of GPUs has no `{card.name}` to compare with")
        return 0
    fine = True
    print(f"{card.name}, vLLM {VERSION}, {CALLERS} callers, {PROMPT} tokens asked, {OUTPUT} answered, bf16")
    try:
        python = install()
        for model in MODELS:
            try:
                prediction = predicted(model, card.id)
            except InputError as error:
                print(f"{model}: left out: {error}")
                continue
            with tempfile.TemporaryDirectory(prefix="isthmus-gpu-") as folder:
                rows = compare(measure(python, model, Path(folder)), prediction)
            for name, value, expected, ratio, within in rows:
                low, high = BOUNDS[name]
                verdict = "ok" if within else f"OUT of {low} to {high}"
                print(f"{model:36} {name:18} {value:>12,.2f} / {expected:>12,.2f} = {ratio:.2f}  {verdict}")
                fine &= within
    except EnvironmentFault as error:
        print(f"make gpu: {error}", file=sys.stderr)
        return 3
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
