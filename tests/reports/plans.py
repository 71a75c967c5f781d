"""The bank's plan by hand, filled as a planner would fill it, and one that is not feasible."""

from __future__ import annotations

import copy
import functools
from typing import Any

from tests.blueprints import by_hand

LIST = {"kind": "list-price", "source": "https://aws.amazon.com/bedrock/pricing/", "as_of": "2026-11-01"}
GIVEN = {"kind": "given", "source": "requirements, sites[].cost", "as_of": "2026-11-25"}
hand_written = functools.cache(by_hand.plan_data)


def api(peak: float) -> dict[str, Any]:
    """The prediction of an API: nobody knows its latency."""
    return {"slo": "unverified", "peak_rps": peak}


def sized(peak: float, capacity: float, after: float, ttft: list[float], tpot: list[float]) -> dict[str, Any]:
    """The prediction of an endpoint of our own; times as low end, figure, high end."""
    return {
        **{"slo": "kept", "peak_rps": peak, "capacity_rps": capacity, "after_loss_rps": after},
        **{"ttft_p95_ms": ttft[1], "ttft_interval_ms": ttft[::2]},
        **{"tpot_p95_ms": tpot[1], "tpot_interval_ms": tpot[::2]},
    }


def cost(label: str, quantity: float, unit: str, price: float, evidence: Any = GIVEN) -> dict[str, Any]:
    row = {"what": label, "quantity": quantity, "unit": unit, "unit_price_usd": price, "evidence": evidence}
    return {**row, "monthly_usd": quantity * price}


def full() -> dict[str, Any]:
    """A plan made by hand, filled as a planner would fill it, with an overflow to the cloud."""
    data = copy.deepcopy(hand_written())
    restricted, confidential, internal, public = data["endpoints"]
    restricted["predicted"] = sized(3.0, 7.234, 3.62, [980.0, 1234.5, 1612.0], [27.1, 32.44, 41.25])
    confidential["predicted"] = sized(20.0, 31.0, 15.5, [470.0, 640.0, 910.0], [14.2, 18.0, 23.7])
    internal["predicted"], public["predicted"] = api(6.0), api(1.0)
    overflow = copy.deepcopy(confidential)
    overflow |= {"id": "confidential-overflow", "site": "frankfurt", "target": "eks-vllm", "gpus": 1}
    overflow |= {"replicas": 1, "replicas_by_domain": None, "region": "eu-central-1", "predicted": None}
    overflow |= {"instance_type": "g6e.2xlarge", "purchase": "on-demand", "evidence": None}
    data["endpoints"].append(overflow)
    data["placements"][1]["share"] = 0.9
    placement = {"workload": "kyc-extraction", "sensitivity": "confidential", "endpoint": overflow["id"]}
    data["placements"].append({**placement, "role": "overflow", "share": 0.1, "why": "Beyond the six L40S."})
    data["cost_items"] = [
        cost("H100 nodes, capital and power", 8, "GPU-month", 1184.4),
        cost("L40S nodes, capital and power", 6, "GPU-month", 412.25),
        cost("idle H100", 8, "GPU-month", 1184.4),
        cost("Nova Lite, prompt tokens", 155_520, "1,000 tokens", 0.000078, LIST),
        cost("EKS, g6e.2xlarge", 730, "hour", 2.8025, LIST),
        cost("staff", 1, "month", 12000.0, None),
    ]
    needs = ["two more replicas of confidential-llama-8b: 2 l40s-48gb at fra1"]
    breaks = {"breaks_first": "confidential-llama-8b", "breaks_at": 1.34}
    dear = {"blueprint": "all-on-prem", "monthly_cost_usd": 61234.5, "rejected_because": ["costs more"]}
    away = {"blueprint": "all-cloud", "monthly_cost_usd": None, "rejected_because": ["restricted work stays"]}
    return data | {
        "monthly_cost_usd": 26006.68,
        "stress": {"factor": 1.5, "holds": False, **breaks, "needs": needs},
        "alternatives": [dear, away],
        "prices_as_of": "2026-11-01",
    }


def infeasible() -> dict[str, Any]:
    return full() | {
        **dict.fromkeys(("cost_items", "monthly_cost_usd", "stress")),
        **{"feasible": False, "endpoints": [], "placements": [], "gateways": []},
        "conflicts": ["restricted work stays on-prem", "fra1 has 16 H100"],
        "ways_out": [
            {"what": "add one node of h100-sxm-80gb at fra1", "monthly_cost_usd": 48210.4},
            {"what": "let ttft_p95_ms of transaction-narratives be 4,000", "monthly_cost_usd": 31004.0},
        ],
    }
