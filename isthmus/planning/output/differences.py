"""Describes the differences between the existing plan and a new one."""

from __future__ import annotations

from isthmus.contracts.plan.document import Plan, PlannedEndpoint

_SHOWN = (
    "precision",
    "gpu",
    "tensor_parallel",
    "replicas",
    "max_model_len",
    "max_num_seqs",
    "region",
    "inference_profile",
)


def describe_differences(before: Plan, after: Plan) -> list[str]:
    """Return a sentence for each workload that moves, each endpoint whose settings change, and the cost."""
    sentences = []
    if before.requirements_sha256 != after.requirements_sha256:
        sentences.append("the requirements have changed since the existing plan was made")
    endpoints_before = {
        placement.workload: before.endpoint(placement.endpoint)
        for placement in before.placements
        if placement.role == "primary"
    }
    for placement in after.placements:
        if placement.role != "primary":
            continue
        new_endpoint, old_endpoint = (
            after.endpoint(placement.endpoint),
            endpoints_before.get(placement.workload),
        )
        if new_endpoint is None:
            continue
        if old_endpoint is None:
            sentences.append(f"{placement.workload} is new: {_describe_place(new_endpoint)}")
        elif _describe_place(old_endpoint) != _describe_place(new_endpoint):
            sentences.append(
                f"{placement.workload} moves from {_describe_place(old_endpoint)} to {_describe_place(new_endpoint)}"
            )
        else:
            sentences += _describe_setting_changes(placement.workload, old_endpoint, new_endpoint)
    removed = sorted(set(endpoints_before) - {placement.workload for placement in after.placements})
    sentences += [f"{name} is removed" for name in removed]
    new_cost, old_cost = after.monthly_cost_usd, before.monthly_cost_usd
    if new_cost is not None and old_cost is not None and new_cost != old_cost:
        sentences.append(f"the plan costs {new_cost:,.2f} USD a month ({new_cost - old_cost:+,.2f})")
    return sentences


def _describe_place(endpoint: PlannedEndpoint) -> str:
    where = f"{endpoint.gpu} at {endpoint.site}" if endpoint.gpu else f"{endpoint.target} at {endpoint.site}"
    return f"{endpoint.model} on {where}"


def _describe_setting_changes(workload: str, old: PlannedEndpoint, new: PlannedEndpoint) -> list[str]:
    changes = [
        f"{name} {getattr(old, name)} to {getattr(new, name)}"
        for name in _SHOWN
        if getattr(old, name) != getattr(new, name)
    ]
    return [f"{workload}, {_describe_place(new)}: {', '.join(changes)}"] if changes else []
