"""An engine's update plan, as a preview saves it, made fit to bind the run that follows.

A preview asks a cluster by dry run what an object will be, and is told values that are another's in the run (a
Service's address). The plan takes them for known, and the engine would stop half-way at what nobody changed. What hangs
on a resource that the run itself will touch is therefore unknown in the plan: which resources, which operations and
every other value stay bound.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault
from isthmus.core.pulumi_values import UNKNOWN_TEXT

_UNTOUCHED_STEPS = ("same", "read", "refresh")


def loosen(file: Path, output_names: Collection[str]) -> None:
    """Rewrite a plan, in place. `said`: names of what components say of themselves, whichever do.

    Raises `EnvironmentFault` for what is no update plan of an engine that we know.
    """
    try:
        plan = json.loads(file.read_text("utf-8"))
        file.write_text(json.dumps(loosened_plan(plan, output_names)), "utf-8")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnvironmentFault(
            f"the engine's update plan cannot be read ({type(error).__name__}: {error})",
            fix="Build without --approved, or with the engine that docs/sandbox.md names",
        ) from error


def loosened_plan(plan: Mapping[str, Any], output_names: Collection[str]) -> dict[str, Any]:
    """The plan with what hangs on a touched resource unknown."""
    resources: Mapping[str, Any] = plan["resourcePlans"]
    touched = {
        urn for urn, resource in resources.items() if set(resource.get("steps") or ()) - set(_UNTOUCHED_STEPS)
    }
    return {
        **plan,
        "resourcePlans": {
            urn: _loosened_resource(resource, touched, output_names) for urn, resource in resources.items()
        },
    }


def _loosened_resource(
    resource: Mapping[str, Any], touched: set[str], output_names: Collection[str]
) -> dict[str, Any]:
    goal = resource.get("goal")
    if not goal:  # it is to be deleted
        return dict(resource)
    needs: Mapping[str, Any] = goal.get("propertyDependencies") or {}
    dependent = {name for name, urns in needs.items() if touched.intersection(urns or ())}
    loosened_goal = {**goal, "inputDiff": _make_unknown(goal.get("inputDiff") or {}, dependent)}
    if not goal.get("custom"):
        # A component changes nothing outside the state; much of what it is given and says is others' outputs, and those
        # that are not known yet the engine leaves out of its own plan.
        output_diff = goal.get("outputDiff") or {}
        all_outputs = {
            *output_names,
            *(resource.get("state") or ()),
            *(output_diff.get("adds") or ()),
            *(output_diff.get("updates") or ()),
        }
        loosened_goal["inputDiff"] = _allow_any_change(loosened_goal["inputDiff"], dependent)
        loosened_goal["outputDiff"] = _allow_any_change(
            {}, all_outputs - set(output_diff.get("deletes") or ())
        ) | {key: output_diff[key] for key in ("deletes",) if key in output_diff}
    return {**resource, "goal": loosened_goal}


def _allow_any_change(diff: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """Whatever these become is as planned: what is unknown and to be added may be added, changed or left."""
    updates = set(diff.get("updates") or {})
    adds = {**(diff.get("adds") or {}), **dict.fromkeys(sorted(names - updates), UNKNOWN_TEXT)}
    return {**diff, "adds": adds}


def _make_unknown(diff: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    loosened = dict(diff)
    for kind in ("adds", "updates"):
        if loosened.get(kind):
            loosened[kind] = {
                name: UNKNOWN_TEXT if name in names else value for name, value in loosened[kind].items()
            }
    return loosened
