"""What `llm-d-planner` recommends: runs in a venv of its own (`bench.rival` starts it), and prints JSON lines.

Nothing of Isthmus is imported here, nor could be. Of each use case, urgency and rate the configurations that it says
meet the SLO are printed, with the lengths and the rate a replica that it has them from.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

RATES = (1.0, 4.0, 16.0)


def main(urgencies: list[str]) -> None:
    from planner import DeploymentIntent, Planner  # type: ignore[import-not-found]
    from planner.data._resolver import data_path  # type: ignore[import-not-found]
    from planner.shared.schemas import TrafficProfile  # type: ignore[import-not-found]

    planner = Planner()
    planner.load_bundled_benchmarks()
    # What answers are worth takes it most of its time, and does not change what is cheapest.
    planner._config_finder.update_engine(None)
    rows = json.loads(Path(data_path("performance/benchmarks_BLIS.json")).read_text("utf-8"))["benchmarks"]
    spreads = {
        (row["model_hf_repo"].lower(), row["prompt_tokens"]): (
            row["prompt_tokens_stdev"],
            row["output_tokens_stdev"],
        )
        for row in rows
    }
    prices = {gpu.gpu_type: gpu.cost_per_hour_usd for gpu in planner._model_catalog.get_all_gpu_types()}
    print(json.dumps({"prices": prices}))
    for use_case in DeploymentIntent.model_fields["use_case"].annotation.__args__:
        for urgency in urgencies:
            intent = DeploymentIntent(use_case=use_case, user_count=100, latency_priority=urgency)
            spec = planner.generate_specification(intent)
            shape = spec.workload_profile
            for rate in RATES:
                traffic = TrafficProfile(
                    prompt_tokens=shape.prompt_tokens, output_tokens=shape.output_tokens, expected_qps=rate
                )
                # The public call keeps five; this is what it ranks them from.
                found, _ = planner._config_finder.plan_all_capacities(traffic, spec.slo_targets, intent)
                for each in found:
                    spread = spreads.get((each.model_id.lower(), shape.prompt_tokens))
                    if each.meets_slo and spread:
                        print(
                            json.dumps(_row(use_case, urgency, rate, spec.slo_targets, shape, spread, each))
                        )


def _row(
    use_case: str, urgency: str, rate: float, slo: Any, shape: Any, spread: Any, each: Any
) -> dict[str, Any]:
    return {
        "use_case": use_case,
        "urgency": urgency,
        "rate": rate,
        "ttft_ms": slo.ttft_target_ms,
        "itl_ms": slo.itl_target_ms,
        "e2e_ms": slo.e2e_target_ms,
        "prompt": shape.prompt_tokens,
        "output": shape.output_tokens,
        "prompt_stdev": spread[0],
        "output_stdev": spread[1],
        "repo": each.model_id,
        "gpu": each.gpu_config.gpu_type,
        "degree": each.gpu_config.gpu_count,
        "replicas": each.gpu_config.replicas,
        "rps": each.benchmark_metrics["requests_per_second"],
    }


if __name__ == "__main__":
    main(sys.argv[1:])
