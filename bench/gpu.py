"""Compares `isthmus size` with vLLM on this machine's GPU, with dummy weights: `make gpu`.

It starts the pinned version of vLLM in its own environment outside the checkout, with the arguments of a rendered model
server. Weights are random (`--load-format dummy`), and the program writes the configuration and the tokenizer itself,
so it needs no model hub. It prints ratios of measured to predicted figures: memory of the weights, tokens of the KV
cache, output tokens a second. Exit 0: all figures are within their bounds, or there is no GPU (it prints the reason).
Exit 1: a figure is outside its bound. Exit 3: vLLM could not be installed or did not start.
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
from components.serving.vllm_arguments import ENVIRONMENT, vllm_serve_arguments
from isthmus.contracts.hardware.gpus import GPUS
from isthmus.contracts.reference.vllm_flags import VERSION
from isthmus.core.errors import EnvironmentFault, InputError
from isthmus.planning.catalogues import gpus, models
from isthmus.planning.sizing import question
from isthmus.planning.sizing import size as sizing
from sandbox.toolchain.packages import Packages

PACKAGES = Packages("gpu-vllm", Path(__file__).with_name("vllm.lock"))
MODELS = ("Qwen/Qwen3-0.6B", "meta-llama/Llama-3.2-1B-Instruct", "Qwen/Qwen3-8B")
"""Small models of two families from the catalogue. A model that does not fit the GPU is skipped."""
PROMPT, OUTPUT, CALLERS = 512, 128, 32
"""Tokens of each prompt and each answer, and the number of callers. A caller sends its next request after an answer."""
MAX_MODEL_LEN, MAX_SEQS, UTILIZATION = 4096, 64, 0.9
START_S, WARM_S, MEASURE_S = 900, 10, 40
BOUNDS = {"weights, GiB": (0.9, 1.1), "KV cache, tokens": (0.85, 1.15), "output tokens/s": (0.6, 1.67)}
"""Allowed ratios of measured to predicted figures. The bound of throughput is as wide as the widest 80 % interval."""
PARSER_TOKENS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<|python_tag|>")
"""Tokens that vLLM's parsers for these families look up in the vocabulary."""
_WEIGHTS = re.compile(r"Model loading took ([\d.]+) GiB")
_CACHE = re.compile(r"KV cache size: ([\d,]+) tokens")


@dataclass(frozen=True)
class Card:
    """A GPU of this machine."""

    name: str
    """The driver's name of the GPU."""
    memory_mib: int
    id: str | None
    """The id in Isthmus' catalogue, or None if the catalogue does not have this GPU."""


@dataclass(frozen=True)
class Figures:
    """The measured or the predicted figures of one model."""

    weights_gib: float
    kv_cache_tokens: float
    tokens_per_s: float

    def rows(self) -> dict[str, float]:
        """The figures by their names in `BOUNDS`."""
        return dict(zip(BOUNDS, (self.weights_gib, self.kv_cache_tokens, self.tokens_per_s), strict=True))


def parse_cards(text: str) -> list[Card]:
    """The GPUs in the output of `nvidia-smi --query-gpu=name,memory.total --format=csv,noheader,nounits`."""
    products = {gpu.product: gpu.id for gpu in GPUS.values()}
    cards = []
    for line in text.splitlines():
        name, _, memory = line.rpartition(",")
        if name.strip() and memory.strip().isdigit():
            product = name.strip().replace(" ", "-")
            cards.append(Card(name.strip(), int(memory), products.get(product)))
    return cards


def find_cards() -> tuple[list[Card], str]:
    """The GPUs of this machine, and the reason if there are none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return [], "nvidia-smi is not on PATH, so there is no NVIDIA GPU here"
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        process = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], f"nvidia-smi does not answer: {error}"
    if process.returncode:
        return (
            [],
            f"nvidia-smi ends with {process.returncode}: {(process.stderr or process.stdout).strip()[:200]}",
        )
    cards = parse_cards(process.stdout)
    return cards, "" if cards else "nvidia-smi lists no GPU"


def install() -> Path:
    """The Python of an environment with the pinned vLLM. Installs it if needed. Raises `EnvironmentFault`."""
    if PACKAGES.python is None:
        print(f"installing vLLM {VERSION} into {PACKAGES.folder}: several GiB, minutes")
    PACKAGES.install()
    return PACKAGES.program("python")


def write_model(folder: Path, model: str) -> None:
    """Write the configuration and the tokenizer of a catalogue model for vLLM, without weights."""
    row = next(row for row in models.rows() if row["id"] == model)
    config = {key: value for key, value in row["config"].items() if key != "rope_scaling"}
    word_count = config["vocab_size"] - len(PARSER_TOKENS)
    vocabulary = {f"t{number}": number for number in range(word_count)}
    vocabulary |= {mark: word_count + number for number, mark in enumerate(PARSER_TOKENS)}
    added = [
        {
            **{"id": vocabulary[mark], "content": mark, "special": False, "normalized": False},
            **{"single_word": False, "lstrip": False, "rstrip": False},
        }
        for mark in PARSER_TOKENS
    ]
    tokenizer = {
        **{"version": "1.0", "truncation": None, "padding": None, "added_tokens": added},
        **{"normalizer": None, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None},
        **{"decoder": None, "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "t0"}},
    }
    settings = {
        **{"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "t0", "eos_token": "t1"},
        **{
            "model_max_length": MAX_MODEL_LEN,
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
    """The vLLM command with the arguments of a rendered model server, except for the model folder and the port."""
    settings = {
        **{
            "id": "gpu",
            "model": model,
            "precision": "bf16",
            "tensor_parallel": 1,
            "max_model_len": MAX_MODEL_LEN,
        },
        **{"max_num_seqs": MAX_SEQS, "gpu_memory_utilization": UTILIZATION},
        "weights": {"uri": "pvc://weights", "digest": "sha256:" + "0" * 64},
    }
    _, *rendered = vllm_serve_arguments(cast(ModelServerArgs, settings), "gpu")
    rendered = [argument for argument in rendered if not argument.startswith("--port=")]
    return [
        *(str(python.with_name("vllm")), "serve", str(folder)),
        *(*rendered, f"--port={port}", "--load-format=dummy"),
    ]


def predict_figures(model: str, card: str) -> Figures:
    """The figures that `isthmus size` predicts. Raises `InputError` if the model does not fit."""
    answer = sizing.answer_question(
        question.build_question(
            *(models.find_model(model), gpus.find(card)),
            **{"precision": "bf16", "tensor_parallel": 1, "pipeline_parallel": 1, "mig": None},
            **{"rate": None, "callers": float(CALLERS), "ttft_ms": None, "tpot_ms": None},
            **{"prompt": PROMPT, "output": OUTPUT, "prompt_p95": None, "output_p95": None},
            **{"hit": 0.0, "burst": 1.0, "max_model_len": MAX_MODEL_LEN, "max_num_seqs": MAX_SEQS},
            **{"cache_dtype": "auto", "utilization": UTILIZATION},
        )
    )
    if not answer.fits or answer.min_gpus != 1:
        raise InputError(f"{model} does not fit one {card}", fix="It is left out")
    rate = answer.throughput_tokens_per_s or 0.0
    return Figures(answer.weights_gib, answer.kv_cache_tokens, rate)


def read_log_figures(text: str) -> tuple[float, float] | None:
    """GiB of weights and tokens of the KV cache from vLLM's log, or None if the log does not have them."""
    weights, tokens = _WEIGHTS.search(text), _CACHE.search(text)
    return (float(weights[1]), float(tokens[1].replace(",", ""))) if weights and tokens else None


def compare(measured: Figures, predicted_figures: Figures) -> list[tuple[str, float, float, float, bool]]:
    """For each figure: name, measured value, predicted value, ratio, and whether the ratio is within its bound."""
    rows = []
    for name, value in measured.rows().items():
        expected, (low, high) = predicted_figures.rows()[name], BOUNDS[name]
        ratio = value / expected if expected else float("inf")
        rows.append((name, value, expected, ratio, low <= ratio <= high))
    return rows


@contextlib.contextmanager
def serving(command: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """Runs vLLM. Raises `EnvironmentFault` if it ends or does not answer in time."""
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
                    problem = (
                        "does not answer" if server.poll() is None else f"ended with {server.returncode}"
                    )
                    raise EnvironmentFault(
                        f"vLLM {problem}. Its log ends: {end}",
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
    """Output tokens a second with `CALLERS` callers that send their next request after each answer."""
    begin = time.monotonic() + WARM_S
    end = begin + MEASURE_S

    def call(number: int) -> int:
        draw, counted = random.Random(number), 0
        with httpx.Client(timeout=120) as client:
            while time.monotonic() < end:
                # Each prompt is different, so that no prefix is cached.
                prompt = [draw.randrange(2, vocabulary - len(PARSER_TOKENS)) for _ in range(PROMPT)]
                body = {"model": model, "prompt": prompt, "max_tokens": OUTPUT, "ignore_eos": True}
                answer = client.post(f"http://127.0.0.1:{port}/v1/completions", json=body)
                answer.raise_for_status()
                if begin <= time.monotonic() <= end:
                    counted += answer.json()["usage"]["completion_tokens"]
        return counted

    with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool:
        return sum(pool.map(call, range(CALLERS))) / MEASURE_S


def measure(python: Path, model: str, folder: Path) -> Figures:
    """Start vLLM, send load, and read the figures from its log. Raises `EnvironmentFault`."""
    write_model(folder / "model", model)
    config: dict[str, Any] = json.loads((folder / "model" / "config.json").read_text("utf-8"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = folder / "vllm.log"
    with serving(serve_command(python, model, folder / "model", port), port, log):
        rate = throughput(port, model, config["vocab_size"])
    figures = read_log_figures(log.read_text("utf-8", "replace"))
    if figures is None:
        raise EnvironmentFault(
            "vLLM's log has no figures of weights and KV cache", fix=f"Check that vLLM {VERSION} is what runs"
        )
    return Figures(*figures, rate)


def main() -> int:
    """Exit code of `make gpu`."""
    cards, reason = find_cards()
    if not cards:
        print(f"make gpu: skipped: {reason}")
        return 0
    card = cards[0]
    if card.id is None:
        print(f"make gpu: skipped: the catalogue of GPUs has no `{card.name}` to compare with")
        return 0
    all_within = True
    print(f"{card.name}, vLLM {VERSION}, {CALLERS} callers, {PROMPT} tokens asked, {OUTPUT} answered, bf16")
    try:
        python = install()
        for model in MODELS:
            try:
                prediction = predict_figures(model, card.id)
            except InputError as error:
                print(f"{model}: left out: {error}")
                continue
            with tempfile.TemporaryDirectory(prefix="isthmus-gpu-") as folder:
                rows = compare(measure(python, model, Path(folder)), prediction)
            for name, value, expected, ratio, within in rows:
                low, high = BOUNDS[name]
                verdict = "ok" if within else f"OUT of {low} to {high}"
                print(f"{model:36} {name:18} {value:>12,.2f} / {expected:>12,.2f} = {ratio:.2f}  {verdict}")
                all_within &= within
    except EnvironmentFault as error:
        print(f"make gpu: {error}", file=sys.stderr)
        return 3
    return 0 if all_within else 1


if __name__ == "__main__":
    sys.exit(main())
