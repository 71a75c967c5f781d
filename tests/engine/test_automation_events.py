"""Events of the engine, turned into progress lines and a record of the run."""

from __future__ import annotations

from pulumi.automation.events import EngineEvent

from isthmus.engine.automation.events import Run, resource_label

URN = "urn:pulumi:dev::isthmus::isthmus:index:X$kubernetes:apps/v1:Deployment::model-server"
POLICY = "urn:pulumi:dev::isthmus::isthmus:index:X::whole"


def event(kind: str, op: str, urn: str = URN, custom: bool = True, **more) -> EngineEvent:
    type_ = urn.split("::")[2].split("$")[-1]
    state = {"type": type_, "urn": urn, "id": "", "parent": "", "provider": "", "inputs": {}, "outputs": {}}
    if custom:
        state["custom"] = True
    meta = {"op": op, "urn": urn, "type": type_, "provider": "", "old": None, "new": state, **more}
    return EngineEvent.from_json({"sequence": 1, "timestamp": 0, kind: {"metadata": meta}})


class Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def changed(self, run: Run, line: str | None) -> None:
        if line:
            self.lines.append(line)


def test_a_component_is_not_counted_as_a_resource():
    run = Run()
    run.on_event(event("resourcePreEvent", "create", POLICY, custom=False))
    run.on_event(event("resOutputsEvent", "create", POLICY, custom=False))
    assert (run.total, dict(run.counts)) == (0, {})


def test_a_replacement_is_reported_once_with_the_property_that_forces_it():
    lines = Lines()
    run = Run(watcher=lines)
    forced = {"spec.selector": {"diffKind": "update-replace", "inputDiff": True}}
    other_property = {"spec.replicas": {"diffKind": "update", "inputDiff": True}}
    for op in ("create-replacement", "replace", "delete-replaced"):
        run.on_event(event("resourcePreEvent", op, detailedDiff={**forced, **other_property}))
        run.on_event(event("resOutputsEvent", op))
    assert lines.lines[0] == "replaces Deployment model-server, because of spec.selector"
    assert sum(line.startswith("replaces") for line in lines.lines) == 1
    assert run.counts == {"replace": 1}


def test_unchanged_resources_are_counted_and_not_listed():
    lines = Lines()
    run = Run(watcher=lines)
    run.on_event(event("resourcePreEvent", "same"))
    run.on_event(event("resOutputsEvent", "same"))
    assert (run.counts, lines.lines) == ({"same": 1}, [])


def test_the_total_of_resources_is_never_below_that_of_the_state():
    run = Run(expected=100)
    run.on_event(event("resourcePreEvent", "update"))
    assert (run.total, list(run.doing)) == (100, [URN])


def test_a_resource_is_labelled_by_kind_and_name():
    assert resource_label(URN) == "Deployment model-server"


def test_a_failed_creation_is_reported_at_once_and_recorded():
    reported: list[str] = []
    run = Run(on_lost=lambda creation: reported.append(creation.urn))
    run.on_event(event("resourcePreEvent", "create"))
    run.on_event(event("resOpFailedEvent", "create", status=1, steps=0))
    assert reported == [URN] == [creation.urn for creation in run.lost]


def test_a_lost_creation_is_kept_in_memory_if_its_file_cannot_be_written():
    def full(creation: object) -> None:
        raise OSError("no space left")

    run = Run(on_lost=full)
    run.on_event(event("resOpFailedEvent", "create", status=1, steps=0))
    assert [creation.urn for creation in run.lost] == [URN]
