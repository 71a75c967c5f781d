"""What a cut-off run left open is decided before anything is changed, or named."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from isthmus.core.errors import EnvironmentFault, InputError
from isthmus.engine.project.project import Project, Stack
from isthmus.engine.recovery import kubernetes_lookup, recovery
from isthmus.engine.recovery.aws import types as aws_types
from isthmus.engine.recovery.recovery import Answers, settle
from isthmus.engine.state import unconfirmed_creations
from isthmus.engine.state.interrupted_creations import Creation, Made, NotMade, Unknown, Verdict

PREFIX = "urn:pulumi:dev::isthmus::"
AWS = f"{PREFIX}pulumi:providers:aws::frankfurt"
KUBERNETES = f"{PREFIX}pulumi:providers:kubernetes::fra1"
KEY = f"{PREFIX}aws:kms/key:Key::key"
POD = f"{PREFIX}kubernetes:core/v1:Pod::pod"


def entry(urn: str, **fields: Any) -> dict[str, Any]:
    token = urn.split("::")[2]
    provider = {"aws": AWS, "kubernetes": KUBERNETES}.get(token.split(":")[0])
    state_entry: dict[str, Any] = {"urn": urn, "type": token, "custom": True, "inputs": {"a": 1}, **fields}
    return {**state_entry, "provider": f"{provider}::id"} if provider else state_entry


class Engine:
    """A stack's state, as `isthmus.engine.automation.stack_engine.Engine` holds it."""

    def __init__(self, *pending: dict[str, Any], resources: tuple[dict[str, Any], ...] = ()) -> None:
        born = entry(f"{PREFIX}pulumi:pulumi:Stack::isthmus-dev", created="2026-11-25T04:00:00Z")
        base = [born, entry(AWS, id="id"), entry(KUBERNETES, id="id")]
        self.held = {
            "version": 3,
            "deployment": {
                "resources": [*base, *resources],
                "pending_operations": [{"resource": resource, "type": "creating"} for resource in pending],
            },
        }
        self.written = 0

    def export(self) -> dict[str, Any]:
        return copy.deepcopy(self.held)

    def replace(self, new: dict[str, Any], _old: dict[str, Any]) -> None:
        assert _old == self.held
        self.held, self.written = new, self.written + 1

    def ids(self) -> list[str]:
        return [resource["id"] for resource in self.held["deployment"]["resources"][3:]]


class World:
    """What cluster and account say, by logical name."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self.asked: list[Creation] = []

    def look(self, creation: Creation) -> Verdict:
        self.asked.append(creation)
        return self.verdicts.get(creation.name, NotMade())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    fake = World()
    monkeypatch.setattr(aws_types, "look_up", lambda account, creation: fake.look(creation))
    monkeypatch.setattr(kubernetes_lookup, "look_up", lambda creation, _cluster, **_: fake.look(creation))
    monkeypatch.setattr(kubernetes_lookup, "cluster_of", lambda provider: provider["urn"])
    return fake


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    (tmp_path / "Pulumi.yaml").write_text("name: isthmus\n")
    return Stack(Project(tmp_path), "dev")


def settled(stack: Stack, engine: Any, answers: Answers = recovery.NO_ANSWERS) -> list[str]:
    messages: list[str] = []
    settle(stack, engine, messages.append, answers)
    return messages


def test_a_run_that_ended_well_leaves_nothing_to_do(stack, world):
    engine = Engine()
    assert settled(stack, engine) == []
    assert (engine.written, world.asked) == (0, [])


def test_existing_creations_are_adopted_and_missing_ones_are_created_again(stack, world):
    world.verdicts["key"] = Made("k-1")
    engine = Engine(entry(KEY), entry(POD))
    messages = settled(stack, engine)
    assert engine.ids() == ["k-1"]
    assert not engine.held["deployment"].get("pending_operations")
    assert messages[0].startswith("an earlier run was cut off while it made Key key, Pod pod")
    assert messages[1:] == [
        "Key key was made (k-1): taken into the state",
        "Pod pod is to be made: it is not there",
    ]


def test_an_undecided_creation_stops_the_run_and_changes_nothing(stack, world):
    world.verdicts = {"key": Made("k-1"), "pod": Unknown("Pod `pod` may be there", "kubectl get pod")}
    engine = Engine(entry(KEY), entry(POD))
    with pytest.raises(EnvironmentFault) as caught:
        settled(stack, engine)
    for part in (
        "Pod `pod` may be there",
        "`kubectl get pod`",
        "--made pod=ID",
        "--not-made pod",
        "Nothing was",
    ):
        assert part in str(caught.value)
    assert engine.written == 0


def test_an_answer_decides_what_cannot_be_looked_up(stack, world):
    world.verdicts["pod"] = Unknown("Pod `pod` may be there", "kubectl get pod")
    engine, not_made = Engine(entry(POD)), Engine(entry(POD))
    settled(stack, engine, Answers(made={"pod": "ns/pod"}))
    assert engine.ids() == ["ns/pod"]
    settled(stack, not_made, Answers(not_made=frozenset({POD})))
    assert not_made.ids() == []


def test_an_unrelated_answer_is_refused_with_the_open_creations(stack, world):
    with pytest.raises(InputError, match=r"no creation of `kay` is open.*Open is: key"):
        settled(stack, Engine(entry(KEY)), Answers(made={"kay": "k-1"}))
    with pytest.raises(InputError, match="Open is: nothing"):
        settled(stack, Engine(), Answers(not_made=frozenset({"key"})))


RULE = f"{PREFIX}aws:cloudwatch/eventRule:EventRule::key"


def test_a_name_that_two_open_creations_share_decides_neither_and_their_urns_are_listed(stack, world):
    world.verdicts["key"] = Unknown("a key or a rule", "aws kms list-keys")
    engine = Engine(entry(KEY), entry(RULE))
    for answers in (Answers(made={"key": "k-1"}), Answers(not_made=frozenset({"key"}))):
        with pytest.raises(InputError, match="`key` is the name of 2 open creations") as caught:
            settled(stack, engine, answers)
        assert f"{RULE}, {KEY}" in str(caught.value)
    with pytest.raises(EnvironmentFault) as undecided:
        settled(stack, engine)
    assert f"--not-made {KEY}`" in str(undecided.value), "what is proposed would be refused"
    assert engine.written == 0
    settled(stack, engine, Answers(made={KEY: "k-1"}, not_made=frozenset({RULE})))
    assert engine.ids() == ["k-1"]


@pytest.mark.parametrize(
    "answers",
    [
        Answers(made={KEY: "k-1"}, not_made=frozenset({"key"})),
        Answers(made={"key": "k-1"}, not_made=frozenset({KEY})),
        Answers(made={"key": "k-1", KEY: "k-2"}),
    ],
)
def test_two_answers_to_one_creation_under_its_name_and_its_urn_are_refused(stack, world, answers):
    engine = Engine(entry(KEY))
    with pytest.raises(InputError, match="`key` is said to be made"):
        settled(stack, engine, answers)
    assert engine.written == 0


def test_unanswered_creations_are_decided_like_interrupted_ones(stack, world):
    unconfirmed_creations.add(stack.project.root, "dev", [Creation(entry(KEY), "2026-11-25T05:00:00+00:00")])
    world.verdicts["key"] = Made("k-1")
    engine = Engine()
    settled(stack, engine)
    assert engine.ids() == ["k-1"]
    assert unconfirmed_creations.read(stack.project.root, "dev") == [], "decided once"


def test_undecided_creations_are_kept_for_the_next_run(stack, world):
    unconfirmed_creations.add(stack.project.root, "dev", [Creation(entry(KEY))])
    world.verdicts["key"] = Unknown("a key", "aws kms list-keys")
    with pytest.raises(EnvironmentFault):
        settled(stack, Engine())
    assert len(unconfirmed_creations.read(stack.project.root, "dev")) == 1


def test_resources_of_a_later_run_are_not_looked_up_again(stack, world):
    unconfirmed_creations.add(stack.project.root, "dev", [Creation(entry(KEY))])
    engine = Engine(resources=(entry(KEY, id="k-1"),))
    settled(stack, engine)
    assert (world.asked, engine.written, unconfirmed_creations.read(stack.project.root, "dev")) == ([], 0, [])


def test_an_interrupted_replacement_is_looked_up_although_the_old_resource_is_in_the_state(stack, world):
    unconfirmed_creations.add(stack.project.root, "dev", [Creation(entry(KEY, inputs={"a": 2}))])
    world.verdicts["key"] = Made("k-2")
    engine = Engine(resources=(entry(KEY, id="k-1"),))
    settled(stack, engine)
    assert engine.ids() == ["k-1", "k-2"]
    assert engine.held["deployment"]["resources"][3]["delete"] is True


def test_a_replacement_without_a_change_is_asked_for_when_what_the_state_has_is_older(stack, world):
    unconfirmed_creations.add(stack.project.root, "dev", [Creation(entry(KEY), "2026-11-25T06:00:00+00:00")])
    world.verdicts["key"] = Made("k-2")
    engine = Engine(resources=(entry(KEY, id="k-1", created="2026-11-25T05:00:00.123456789Z"),))
    settled(stack, engine)
    assert engine.ids() == ["k-1", "k-2"]
    assert engine.held["deployment"]["resources"][3]["delete"] is True


def test_resources_created_by_this_or_a_later_run_are_not_looked_up(stack, world):
    unconfirmed_creations.add(stack.project.root, "dev", [Creation(entry(KEY), "2026-11-25T06:00:00+00:00")])
    settled(stack, Engine(resources=(entry(KEY, id="k-1", created="2026-11-25T06:00:01Z"),)))
    assert (world.asked, unconfirmed_creations.read(stack.project.root, "dev")) == ([], [])


def test_a_creation_is_not_older_than_the_stack(stack, world):
    settled(stack, Engine(entry(KEY)))
    assert world.asked[0].since == "2026-11-25T04:00:00Z"


def test_providers_and_what_hangs_from_one_that_was_not_made_were_not_made(stack, world):
    orphan = {**entry(KEY), "provider": f"{PREFIX}pulumi:providers:aws::oregon::id"}
    engine = Engine(entry(f"{PREFIX}pulumi:providers:aws::oregon"), orphan)
    settled(stack, engine)
    assert (world.asked, engine.ids()) == ([], [])


def test_a_kind_that_cannot_be_looked_up_is_named(stack, world):
    with pytest.raises(EnvironmentFault, match=r"random:index:Id `seed`.*pulumi stack export --stack dev"):
        settled(stack, Engine({**entry(f"{PREFIX}random:index:Id::seed"), "provider": f"{AWS}::id"}))


def test_a_creation_without_provider_is_not_reported_as_missing(stack, world):
    with pytest.raises(EnvironmentFault, match="Key `key`"):
        settled(stack, Engine({**entry(KEY), "provider": ""}))


def test_an_interrupted_update_is_reported_and_left_to_the_refresh(stack, world):
    engine = Engine()
    engine.held["deployment"]["pending_operations"] = [{"resource": entry(KEY, id="k-1"), "type": "updating"}]
    messages = settled(stack, engine)
    assert messages == ["an earlier run was cut off in the middle of Key key; what is live decides"]
    assert engine.written == 0
