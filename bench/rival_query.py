"""Prints the recommendations of `llm-d-planner` as JSON lines. `bench.rival` starts it in a separate venv.

It cannot import Isthmus. For each use case, urgency and rate it prints the configurations that meet the SLO by
`llm-d-planner`'s own statement, with the token lengths and the rate of a replica that they are based on.
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
    # The scores of answer quality take most of the time and do not change which configuration is cheapest.
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
            workload_profile = spec.workload_profile
            for rate in RATES:
                traffic = TrafficProfile(
                    prompt_tokens=workload_profile.prompt_tokens,
                    output_tokens=workload_profile.output_tokens,
                    expected_qps=rate,
                )
                # The public call returns only the best five. This returns all configurations.
                configurations, _ = planner._config_finder.plan_all_capacities(
                    traffic, spec.slo_targets, intent
                )
                for configuration in configurations:
                    spread = spreads.get((configuration.model_id.lower(), workload_profile.prompt_tokens))
                    if configuration.meets_slo and spread:
                        print(
                            json.dumps(
                                _row(
                                    use_case,
                                    urgency,
                                    rate,
                                    spec.slo_targets,
                                    workload_profile,
                                    spread,
                                    configuration,
                                )
                            )
                        )


def _row(
    use_case: str, urgency: str, rate: float, slo: Any, workload_profile: Any, spread: Any, configuration: Any
) -> dict[str, Any]:
    return {
        "use_case": use_case,
        "urgency": urgency,
        "rate": rate,
        "ttft_ms": slo.ttft_target_ms,
        "itl_ms": slo.itl_target_ms,
        "e2e_ms": slo.e2e_target_ms,
        "prompt": workload_profile.prompt_tokens,
        "output": workload_profile.output_tokens,
        "prompt_stdev": spread[0],
        "output_stdev": spread[1],
        "repo": configuration.model_id,
        "gpu": configuration.gpu_config.gpu_type,
        "degree": configuration.gpu_config.gpu_count,
        "replicas": configuration.gpu_config.replicas,
        "rps": configuration.benchmark_metrics["requests_per_second"],
    }


if __name__ == "__main__":
    main(sys.argv[1:])
