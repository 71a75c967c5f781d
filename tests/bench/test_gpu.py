"""`make gpu`: what it reads, what it compares, and how it ends where there is no GPU."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from bench import gpu
from isthmus.contracts.reference import vllm_flags
from isthmus.core.errors import EnvironmentFault, InputError

LOG = """
INFO 11-29 10:00:01 [gpu_model_runner.py:5089] Model loading took 1.12 GiB memory and 0.412345 seconds
INFO 11-29 10:00:20 [gpu_worker.py:773] Available KV cache memory: 67.62 GiB
INFO 11-29 10:00:21 [kv_cache_utils.py:1149] GPU KV cache size: 633,104 tokens, Maximum concurrency for 4,096 tokens \
per request: 154.57x
"""
"""Lines as vLLM 0.33.0 writes them (vllm/v1/worker/gpu_model_runner.py, vllm/v1/core/kv_cache_utils.py)."""


def program(folder: Path, script: str) -> None:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)


def run(path: Path) -> subprocess.CompletedProcess[str]:
    """`python -m bench.gpu` with programs of this folder only."""
    return subprocess.run(
        [sys.executable, "-m", "bench.gpu"],
        capture_output=True,
        text=True,
        env={"PATH": str(path), "PYTHONPATH": "."},
        check=False,
    )


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (None, "nvidia-smi is not on PATH"),
        ("echo 'NVIDIA-SMI has failed' >&2; exit 9", "nvidia-smi ends with 9: NVIDIA-SMI has failed"),
        ("exit 0", "nvidia-smi lists no GPU"),
        ("echo 'NVIDIA GeForce RTX 3060, 12288'", "the catalogue of GPUs has no `NVIDIA GeForce RTX 3060`"),
    ],
)
def test_without_a_known_gpu_it_prints_the_reason_and_succeeds(
    tmp_path: Path, script: str | None, says: str
) -> None:
    if script is not None:
        program(tmp_path, script)
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"make gpu: skipped: {says}")


def test_make_gpu_runs_it() -> None:
    rules = Path("Makefile").read_text("utf-8")
    assert "\ngpu: install-all ##" in rules
    assert "-m bench.gpu\n" in rules


def test_gpus_are_parsed_from_the_drivers_output() -> None:
    cards = gpu.parse_cards("NVIDIA H100 80GB HBM3, 81559\nNVIDIA L40S, 46068\n\n")
    assert [(card.id, card.memory_mib) for card in cards] == [("h100-sxm-80gb", 81559), ("l40s-48gb", 46068)]


def test_figures_are_read_from_vllms_log() -> None:
    assert gpu.read_log_figures(LOG) == (1.12, 633104.0)
    assert gpu.read_log_figures("Model loading took 1.12 GiB memory") is None


@pytest.mark.parametrize(
    ("measured", "outside"),
    [
        (gpu.Figures(1.1, 630000, 4000), []),
        (gpu.Figures(1.5, 630000, 4000), ["weights, GiB"]),
        (gpu.Figures(1.1, 400000, 4000), ["KV cache, tokens"]),
        (gpu.Figures(1.1, 630000, 1000), ["output tokens/s"]),
    ],
)
def test_a_figure_far_from_the_predicted_one_is_outside_its_bound(
    measured: gpu.Figures, outside: list[str]
) -> None:
    rows = gpu.compare(measured, gpu.Figures(1.11, 633104, 4130))
    assert [name for name, _, _, _, within in rows if not within] == outside


@pytest.mark.parametrize("model", gpu.MODELS)
def test_vllm_gets_the_arguments_of_a_model_server_and_dummy_weights(model: str, tmp_path: Path) -> None:
    command = gpu.serve_command(Path("/env/bin/python"), model, tmp_path, 8123)
    assert command[:3] == ["/env/bin/vllm", "serve", str(tmp_path)]
    for flag in ("--load-format=dummy", "--port=8123", "--enable-auto-tool-choice", "--max-model-len=4096"):
        assert flag in command
    assert len([argument for argument in command if argument.startswith("--port")]) == 1
    flags = [argument.partition("=")[0] for argument in command if argument.startswith("--")]
    assert [flag for flag in flags if not vllm_flags.is_known(flag)] == []


@pytest.mark.parametrize("model", gpu.MODELS)
def test_a_model_is_written_without_the_hub(model: str, tmp_path: Path) -> None:
    gpu.write_model(tmp_path, model)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    vocabulary = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    assert config["torch_dtype"] == "bfloat16"
    assert sorted(vocabulary.values()) == list(range(config["vocab_size"])), "each token has a text"
    assert set(gpu.PARSER_TOKENS) <= set(vocabulary), "parsers look these up when vLLM starts"


def test_every_model_fits_a_large_card_and_the_large_ones_no_small_card() -> None:
    for model in gpu.MODELS:
        figures = gpu.predict_figures(model, "h100-sxm-80gb")
        assert all(value > 0 for value in figures.rows().values()), model
    with pytest.raises(InputError, match="does not fit"):
        gpu.predict_figures("meta-llama/Llama-3.1-70B-Instruct", "a30-24gb")


def test_throughput_counts_only_answers_within_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[dict[str, Any]] = []

    class Engine(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            body = json.dumps({"usage": {"completion_tokens": 10}}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    for name, value in (("WARM_S", 0.5), ("MEASURE_S", 2.0), ("CALLERS", 2)):
        monkeypatch.setattr(gpu, name, value)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        rate = gpu.throughput(server.server_port, "m", 1000)
        server.shutdown()
    assert 0 < rate < 10 * len(requests) / 2.0, "what came while it warmed up does not count"
    assert len(requests[0]["prompt"]) == gpu.PROMPT
    assert requests[0]["prompt"] != requests[1]["prompt"], "else its prefix would be cached"
    assert requests[0]["ignore_eos"] is True


def test_an_engine_that_ends_at_start_is_an_environment_fault_with_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('no CUDA device'); sys.exit(4)"]
    with (
        pytest.raises(EnvironmentFault, match=r"ended with 4(.|\n)*no CUDA device"),
        gpu.serving(command, 1, tmp_path / "vllm.log"),
    ):
        pass


@pytest.mark.parametrize(("ratio", "code"), [(1.0, 0), (0.3, 1)])
def test_a_large_deviation_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ratio: float, code: int
) -> None:
    def measure(python: Path, model: str, folder: Path) -> gpu.Figures:
        figures = gpu.predict_figures(model, "h100-sxm-80gb")
        return gpu.Figures(figures.weights_gib, figures.kv_cache_tokens, ratio * figures.tokens_per_s)

    monkeypatch.setattr(gpu, "find_cards", lambda: (gpu.parse_cards("NVIDIA H100 80GB HBM3, 81559"), ""))
    monkeypatch.setattr(gpu, "install", lambda: Path("python"))
    monkeypatch.setattr(gpu, "measure", measure)
    assert gpu.main() == code
    output = capsys.readouterr().out
    assert f"= {ratio:.2f}" in output
    assert ("OUT of 0.6 to 1.67" in output) == bool(code)
