"""Writes `isthmus/planning/catalogues/data/step_times.jsonl`: an engine's step times, from NVIDIA's measured kernels.

Run it by hand when models or measurements change, in a separate environment, because aiconfigurator has 700 MB and is
slow to import:

    python3 sandbox/toolchain/install_lock.py scripts/throughput_grid.lock /tmp/aic
    PYTHONPATH=. /tmp/aic/bin/python scripts/throughput_grid.py

Each line is one model on one kind of GPU, in one precision, with one degree of tensor parallelism. It has microseconds
of prefills by number of tokens, and of decoding steps by batch and context. Cases that the package refuses or has not
measured are skipped; stderr has their number.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import collections
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

from isthmus.planning.catalogues import model_config
from isthmus.planning.catalogues.precision import weight_bytes
from isthmus.planning.sizing.step_time import BATCHES, CONTEXTS, PROMPTS

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "isthmus" / "planning" / "catalogues" / "data"
SYSTEMS = {
    "a100-sxm-80gb": ("a100_sxm", ("bf16",)),
    "b200-sxm-180gb": ("b200_sxm", ("bf16", "fp8", "nvfp4", "mxfp4")),
    "b300-sxm-288gb": ("b300_sxm", ("bf16", "fp8", "nvfp4", "mxfp4")),
    "h100-sxm-80gb": ("h100_sxm", ("bf16", "fp8", "mxfp4")),
    "h200-sxm-141gb": ("h200_sxm", ("bf16", "fp8", "mxfp4")),
    "l40s-48gb": ("l40s", ("bf16", "fp8")),
    "rtx-pro-6000-96gb": ("rtx_pro_6000_server", ("bf16", "fp8", "nvfp4")),
}
MODES = {"bf16": "bfloat16", "fp8": "fp8", "nvfp4": "nvfp4"}
DEGREES = (1, 2, 4, 8)
AS_LLAMA = ("mistral", "mistral3", "ministral3", "granite", "phi3", "qwen2", "cohere", "smollm3", "llama")
"""Dense models with the same layers as Llama. Their kernels are those of a Llama of the same shape."""


def config_for(model: dict[str, Any], folder: Path) -> str:
    """Write the model's configuration in the package's form, and return the folder."""
    config = dict(model["config"])
    if config.get("model_type") in AS_LLAMA:
        config |= {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
        config.pop("sliding_window", None)
    if config.get("model_type") == "gpt_oss":
        config["quantization_config"] = {"quant_method": "mxfp4"}
    if config.get("model_type") == "nemotron_h":
        config.setdefault("chunk_size", 128)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return str(folder)


def session(path: str, system: str, database: Any, precision: str, degree: int, *, sparse: bool) -> Any:
    """An inference session, the package's fast path: it looks up tables once, then a point takes 0.1 ms."""
    from aiconfigurator.sdk.config_builders import build_model_config
    from aiconfigurator.sdk.inference_session import InferenceSession
    from aiconfigurator.sdk.models import get_model, resolve_context_fmha_by_data, resolve_nvfp4_for_system
    from aiconfigurator_core.sdk.backends.factory import get_backend

    mode = MODES.get(precision)
    # MXFP4 quantises only the experts. For gpt-oss the package knows that.
    modes = {} if mode is None else {"gemm_quant_mode": mode, "moe_quant_mode": mode if sparse else None}
    if precision == "mxfp4":
        modes = {"moe_quant_mode": "w4a16_mxfp4"}
    config = build_model_config(degree, 1, 1, degree if sparse else 1, 1, **modes)
    resolve_context_fmha_by_data(config, path, database, "vllm", is_context_role=True)
    resolve_nvfp4_for_system(config, system, path, backend_name="vllm")
    return InferenceSession(get_model(path, config, "vllm"), database, get_backend("vllm"))


def times(inference: Any, longest: int) -> tuple[list[int], list[list[int]]]:
    """Microseconds of prefills, and of decoding steps by batch and context."""
    from aiconfigurator_core.sdk.config import RuntimeConfig

    def step(kind: str, batch: int, tokens: int) -> int:
        config = RuntimeConfig(batch_size=batch, isl=tokens, osl=2)
        return round(1000 * inference.run_static_latency_only(config, kind))

    prefills = [step("static_ctx", 1, tokens) for tokens in PROMPTS if tokens <= max(longest, PROMPTS[0])]
    decodes = [[step("static_gen", batch, context) for context in CONTEXTS] for batch in BATCHES]
    return prefills, decodes


def main() -> int:
    logging.disable(logging.CRITICAL)
    import aiconfigurator_core.sdk.perf_database as perf

    models = json.loads((DATA / "models.json").read_text("utf-8"))
    gpus = {row["id"]: row for row in json.loads((DATA / "gpus.json").read_text("utf-8"))}
    lines: list[str] = []
    refused: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as base:
        for gpu, (system, precisions) in SYSTEMS.items():
            version = perf.get_latest_database_version(system, "vllm")
            database = perf.get_database_view(system, "vllm", version)
            for index, model in enumerate(models):
                architecture = model_config.architecture(model["config"], model["id"])
                if architecture.encoder:
                    continue
                path = config_for(model, Path(base) / f"{index}")
                for precision in precisions:
                    if (precision == "mxfp4") != (architecture.kind == "gpt_oss"):
                        continue
                    for degree in DEGREES:
                        bytes_available = degree * gpus[gpu]["usable_mib"] * (1 << 20) * 0.95
                        if (
                            architecture.heads % degree
                            or weight_bytes(architecture, precision) > bytes_available
                        ):
                            continue
                        try:
                            inference = session(
                                path,
                                system,
                                database,
                                precision,
                                degree,
                                sparse=architecture.expert_count > 0,
                            )
                            prefills, decodes = times(inference, architecture.context)
                        except Exception as error:  # noqa: BLE001  the package raises many types
                            refused[f"{gpu}: {architecture.kind} {precision}: {str(error)[:90]}"] += 1
                            continue
                        row = {"model": model["id"], "gpu": gpu, "precision": precision, "tp": degree}
                        row |= {"vllm": version, "prefill_us": prefills, "decode_us": decodes}
                        lines.append(json.dumps(row, separators=(",", ":")))
            print(f"{gpu}: {len(lines)} lines so far", file=sys.stderr, flush=True)
    target = DATA / "step_times.jsonl"
    part = target.with_suffix(".part")
    part.write_text("\n".join(sorted(lines)) + "\n", "utf-8")
    part.replace(target)
    for reason, count in sorted(refused.items()):
        print(f"left out {count}: {reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
