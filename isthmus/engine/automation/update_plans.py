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

_UNTOUCHED = ("same", "read", "refresh")


def loosen(file: Path, said: Collection[str]) -> None:
    """Rewrite a plan, in place. `said`: names of what components say of themselves, whichever do.

    Raises `EnvironmentFault` for what is no update plan of an engine that we know.
    """
    try:
        plan = json.loads(file.read_text("utf-8"))
        file.write_text(json.dumps(loosened(plan, said)), "utf-8")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnvironmentFault(
            f"the engine's update plan cannot be read ({type(error).__name__}: {error})",
            fix="Build without --approved, or with the engine that docs/sandbox.md names",
        ) from error


def loosened(plan: Mapping[str, Any], said: Collection[str]) -> dict[str, Any]:
    """The plan with what hangs on a touched resource unknown."""
    resources: Mapping[str, Any] = plan["resourcePlans"]
    touched = {urn for urn, one in resources.items() if set(one.get("steps") or ()) - set(_UNTOUCHED)}
    return {**plan, "resourcePlans": {urn: _resource(one, touched, said) for urn, one in resources.items()}}


def _resource(one: Mapping[str, Any], touched: set[str], said: Collection[str]) -> dict[str, Any]:
    goal = one.get("goal")
    if not goal:  # it is to be deleted
        return dict(one)
    needs: Mapping[str, Any] = goal.get("propertyDependencies") or {}
    hanging = {name for name, urns in needs.items() if touched.intersection(urns or ())}
    made = {**goal, "inputDiff": _unknown(goal.get("inputDiff") or {}, hanging)}
    if not goal.get("custom"):
        # A component changes nothing outside the state; much of what it is given and says is others' outputs, and those
        # that are not known yet the engine leaves out of its own plan.
        was = goal.get("outputDiff") or {}
        every = {*said, *(one.get("state") or ()), *(was.get("adds") or ()), *(was.get("updates") or ())}
        made["inputDiff"] = _open(made["inputDiff"], hanging)
        made["outputDiff"] = _open({}, every - set(was.get("deletes") or ())) | {
            key: was[key] for key in ("deletes",) if key in was
        }
    return {**one, "goal": made}


def _open(diff: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """Whatever these become is as planned: what is unknown and to be added may be added, changed or left."""
    kept = set(diff.get("updates") or {})
    adds = {**(diff.get("adds") or {}), **dict.fromkeys(sorted(names - kept), UNKNOWN_TEXT)}
    return {**diff, "adds": adds}


def _unknown(diff: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    said = dict(diff)
    for part in ("adds", "updates"):
        if said.get(part):
            said[part] = {
                name: UNKNOWN_TEXT if name in names else value for name, value in said[part].items()
            }
    return said
