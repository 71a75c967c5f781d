"""An engine's update plan: which values bind a run, and which are only known during it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from isthmus.core.errors import EnvironmentFault
from isthmus.core.pulumi_values import UNKNOWN_TEXT
from isthmus.engine.automation import update_plans
from isthmus.engine.automation.update_plans import loosen


def planned(
    *steps: str, custom: bool = True, needs: dict[str, list[str]] | None = None, **diffs: Any
) -> dict[str, Any]:
    goal = {"type": "t", "name": "n", "custom": custom, "propertyDependencies": needs or {}, **diffs}
    return {"goal": goal, "steps": list(steps), "state": {"kept": 1}}


def loosened(plan: dict[str, Any], *components: str) -> dict[str, Any]:
    return update_plans.loosened_plan(plan, components)


def diff_of(plan: dict[str, Any], urn: str, diff: str = "inputDiff") -> dict[str, Any]:
    return plan["resourcePlans"][urn]["goal"][diff]


def test_inputs_from_new_resources_are_unbound_and_all_others_are_bound():
    needs = {"spec": ["service"], "metadata": ["space"]}
    input_diff = {"adds": {"spec": {"ip": "10.0.0.0"}, "metadata": {"a": 1}, "kind": "Pod"}}
    plan = loosened(
        {
            "resourcePlans": {
                "service": planned("create", inputDiff={"adds": {"spec": {"port": 1}}}),
                "space": planned("same"),
                "pod": planned("create", needs=needs, inputDiff=input_diff),
            },
            "config": {"a": 1},
        }
    )
    assert diff_of(plan, "pod") == {"adds": {"spec": UNKNOWN_TEXT, "metadata": {"a": 1}, "kind": "Pod"}}
    assert diff_of(plan, "service") == {"adds": {"spec": {"port": 1}}}
    assert plan["resourcePlans"]["pod"]["steps"] == ["create"]
    assert plan["config"] == {"a": 1}


@pytest.mark.parametrize(
    ("step", "value"), [("update", UNKNOWN_TEXT), ("replace", UNKNOWN_TEXT), ("same", "x"), ("read", "x")]
)
def test_a_value_of_an_unchanged_resource_is_bound(step: str, value: str):
    user = planned(
        "update", needs={"name": ["other"]}, inputDiff={"updates": {"name": "x"}, "deletes": ["gone"]}
    )
    plan = loosened({"resourcePlans": {"other": planned(step), "user": user}})
    assert diff_of(plan, "user") == {"updates": {"name": value}, "deletes": ["gone"]}


def test_outputs_of_a_component_are_not_bound():
    part = planned(
        "same", custom=False, inputDiff={"adds": {"a": 1}}, outputDiff={"updates": {"ip": "10.0.0.0"}}
    )
    part["state"] = {"ip": "10.0.0.0", "name": UNKNOWN_TEXT}
    plan = loosened({"resourcePlans": {"part": part}}, "port")
    assert diff_of(plan, "part") == {"adds": {"a": 1}}
    assert diff_of(plan, "part", "outputDiff") == {
        "adds": dict.fromkeys(["ip", "name", "port"], UNKNOWN_TEXT)
    }


def test_component_inputs_from_new_resources_are_not_bound():
    input_diff = {"adds": {"mine": 1}, "updates": {"other": "x"}}
    part = planned("same", custom=False, needs={"ip": ["new"], "other": ["new"]}, inputDiff=input_diff)
    plan = loosened({"resourcePlans": {"part": part, "new": planned("create")}})
    assert diff_of(plan, "part") == {
        "adds": {"mine": 1, "ip": UNKNOWN_TEXT},
        "updates": {"other": UNKNOWN_TEXT},
    }


def test_a_planned_deletion_stays_a_deletion():
    gone = {"steps": ["delete"], "state": None}
    assert loosened({"resourcePlans": {"gone": gone}})["resourcePlans"] == {"gone": gone}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"resourcePlans": [1]}', '{"resourcePlans": {"a": 1}}'])
def test_a_file_that_is_not_an_update_plan_is_refused(tmp_path: Path, text: str):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(EnvironmentFault, match="update plan cannot be read"):
        loosen(tmp_path / "plan.json", ())


def test_an_update_plan_is_rewritten_in_place(tmp_path: Path):
    (tmp_path / "plan.json").write_text(json.dumps({"resourcePlans": {"a": planned("same")}}))
    loosen(tmp_path / "plan.json", ())
    assert json.loads((tmp_path / "plan.json").read_text())["resourcePlans"]["a"]["steps"] == ["same"]
