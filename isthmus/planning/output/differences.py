"""What a new plan changes against the one that is there, and why it can be so."""

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


def differences(before: Plan, after: Plan) -> list[str]:
    """A sentence for each workload that moves, each endpoint whose settings change, and for the cost."""
    told = []
    if before.requirements_sha256 != after.requirements_sha256:
        told.append("the requirements have changed since the plan that is there was made")
    was = {
        each.workload: before.endpoint(each.endpoint) for each in before.placements if each.role == "primary"
    }
    for placement in after.placements:
        if placement.role != "primary":
            continue
        now, then = after.endpoint(placement.endpoint), was.get(placement.workload)
        if now is None:
            continue
        if then is None:
            told.append(f"{placement.workload} is new: {_place(now)}")
        elif _place(then) != _place(now):
            told.append(f"{placement.workload} moves from {_place(then)} to {_place(now)}")
        else:
            told += _settings(placement.workload, then, now)
    gone = sorted(set(was) - {each.workload for each in after.placements})
    told += [f"{name} is gone" for name in gone]
    cost, then_cost = after.monthly_cost_usd, before.monthly_cost_usd
    if cost is not None and then_cost is not None and cost != then_cost:
        told.append(f"the month costs {cost:,.2f} USD, {cost - then_cost:+,.2f} against before")
    return told


def _place(endpoint: PlannedEndpoint) -> str:
    where = f"{endpoint.gpu} at {endpoint.site}" if endpoint.gpu else f"{endpoint.target} at {endpoint.site}"
    return f"{endpoint.model} on {where}"


def _settings(workload: str, then: PlannedEndpoint, now: PlannedEndpoint) -> list[str]:
    changed = [
        f"{name} {getattr(then, name)} to {getattr(now, name)}"
        for name in _SHOWN
        if getattr(then, name) != getattr(now, name)
    ]
    return [f"{workload}, {_place(now)}: {', '.join(changed)}"] if changed else []
