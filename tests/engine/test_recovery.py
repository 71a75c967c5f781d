"""Interrupted creations of a crashed run are decided before anything is changed, or reported."""

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


class FakeLookups:
    """What cluster and account say, by logical name."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self.asked: list[Creation] = []

    def look(self, creation: Creation) -> Verdict:
        self.asked.append(creation)
        return self.verdicts.get(creation.name, NotMade())


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> FakeLookups:
    fake = FakeLookups()
    monkeypatch.setattr(aws_types, "look_up", lambda account, creation: fake.look(creation))
    monkeypatch.setattr(kubernetes_lookup, "look_up", lambda creation, _cluster, **_: fake.look(creation))
    monkeypatch.setattr(kubernetes_lookup, "cluster_of", lambda provider: provider["urn"])
    return fake


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    (tmp_path / "Pulumi.yaml").write_text("name: isthmus\n")
    return Stack(Project(tmp_path), "dev")


def settle_creations(stack: Stack, engine: Any, answers: Answers = recovery.NO_ANSWERS) -> list[str]:
    messages: list[str] = []
    settle(stack, engine, messages.append, answers)
    return messages


def test_after_a_successful_run_there_is_nothing_to_recover(stack, lookups):
    engine = Engine()
    assert settle_creations(stack, engine) == []
    assert (engine.written, lookups.asked) == (0, [])


def test_existing_creations_are_adopted_and_missing_ones_are_created_again(stack, lookups):
    lookups.verdicts["key"] = Made("k-1")
    engine = Engine(entry(KEY), entry(POD))
    messages = settle_creations(stack, engine)
    assert engine.ids() == ["k-1"]
    assert not engine.held["deployment"].get("pending_operations")
    assert messages[0].startswith("an earlier run was interrupted while it created Key key, Pod pod")
    assert messages[1:] == [
        "Key key exists (k-1): taken into the state",
        "Pod pod will be created: it does not exist",
    ]


def test_an_undecided_creation_stops_the_run_and_changes_nothing(stack, lookups):
    lookups.verdicts = {"key": Made("k-1"), "pod": Unknown("Pod `pod` may be there", "kubectl get pod")}
    engine = Engine(entry(KEY), entry(POD))
    with pytest.raises(EnvironmentFault) as caught:
        settle_creations(stack, engine)
    for part in (
        "Pod `pod` may be there",
        "`kubectl get pod`",
        "--made pod=ID",
        "--not-made pod",
        "Nothing was",
    ):
        assert part in str(caught.value)
    assert engine.written == 0


def test_an_answer_of_the_user_decides_a_creation_that_cannot_be_looked_up(stack, lookups):
    lookups.verdicts["pod"] = Unknown("Pod `pod` may be there", "kubectl get pod")
    engine, not_made = Engine(entry(POD)), Engine(entry(POD))
    settle_creations(stack, engine, Answers(made={"pod": "ns/pod"}))
    assert engine.ids() == ["ns/pod"]
    settle_creations(stack, not_made, Answers(not_made=frozenset({POD})))
    assert not_made.ids() == []


def test_an_unrelated_answer_is_refused_with_the_open_creations(stack, lookups):
    with pytest.raises(InputError, match=r"`kay` is not an undecided creation.*undecided creations: key"):
        settle_creations(stack, Engine(entry(KEY)), Answers(made={"kay": "k-1"}))
    with pytest.raises(InputError, match="Remove the option"):
        settle_creations(stack, Engine(), Answers(not_made=frozenset({"key"})))


RULE = f"{PREFIX}aws:cloudwatch/eventRule:EventRule::key"


def test_a_name_shared_by_two_creations_is_refused_with_their_urns(stack, lookups):
    lookups.verdicts["key"] = Unknown("a key or a rule", "aws kms list-keys")
    engine = Engine(entry(KEY), entry(RULE))
    for answers in (Answers(made={"key": "k-1"}), Answers(not_made=frozenset({"key"}))):
        with pytest.raises(InputError, match="2 undecided creations have the name `key`") as caught:
            settle_creations(stack, engine, answers)
        assert f"{RULE}, {KEY}" in str(caught.value)
    with pytest.raises(EnvironmentFault) as undecided:
        settle_creations(stack, engine)
    assert f"--not-made {KEY}`" in str(undecided.value), "what is proposed would be refused"
    assert engine.written == 0
    settle_creations(stack, engine, Answers(made={KEY: "k-1"}, not_made=frozenset({RULE})))
    assert engine.ids() == ["k-1"]


@pytest.mark.parametrize(
    "answers",
    [
        Answers(made={KEY: "k-1"}, not_made=frozenset({"key"})),
        Answers(made={"key": "k-1"}, not_made=frozenset({KEY})),
        Answers(made={"key": "k-1", KEY: "k-2"}),
    ],
)
def test_two_answers_to_one_creation_by_name_and_by_urn_are_refused(stack, lookups, answers):
    engine = Engine(entry(KEY))
    with pytest.raises(InputError, match=r"`key` (is in both --made and --not-made|has two ids in --made)"):
        settle_creations(stack, engine, answers)
    assert engine.written == 0


def test_unconfirmed_creations_are_decided_like_interrupted_ones(stack, lookups):
    unconfirmed_creations.add(stack.project.root, "dev", [Creation(entry(KEY), "2026-11-25T05:00:00+00:00")])
    lookups.verdicts["key"] = Made("k-1")
    engine = Engine()
    settle_creations(stack, engine)
    assert engine.ids() == ["k-1"]
    assert unconfirmed_creations.read(stack.project.root, "dev") == [], "decided once"


def test_undecided_creations_are_kept_for_the_next_run(stack, lookups):
    unconfirmed_creations.add(stack.project.root, "dev", [Creation(entry(KEY))])
    lookups.verdicts["key"] = Unknown("a key", "aws kms list-keys")
    with pytest.raises(EnvironmentFault):
        settle_creations(stack, Engine())
    assert len(unconfirmed_creations.read(stack.project.root, "dev")) == 1


def test_an_unconfirmed_creation_that_is_in_the_state_is_not_looked_up_again(stack, lookups):
    unconfirmed_creations.add(stack.project.root, "dev", [Creation(entry(KEY))])
    engine = Engine(resources=(entry(KEY, id="k-1"),))
    settle_creations(stack, engine)
    assert (lookups.asked, engine.written, unconfirmed_creations.read(stack.project.root, "dev")) == (
        [],
        0,
        [],
    )


def test_an_interrupted_replacement_is_looked_up_although_the_old_resource_is_in_the_state(stack, lookups):
    unconfirmed_creations.add(stack.project.root, "dev", [Creation(entry(KEY, inputs={"a": 2}))])
    lookups.verdicts["key"] = Made("k-2")
    engine = Engine(resources=(entry(KEY, id="k-1"),))
    settle_creations(stack, engine)
    assert engine.ids() == ["k-1", "k-2"]
    assert engine.held["deployment"]["resources"][3]["delete"] is True


def test_a_creation_newer_than_the_resource_in_the_state_is_looked_up(stack, lookups):
    unconfirmed_creations.add(stack.project.root, "dev", [Creation(entry(KEY), "2026-11-25T06:00:00+00:00")])
    lookups.verdicts["key"] = Made("k-2")
    engine = Engine(resources=(entry(KEY, id="k-1", created="2026-11-25T05:00:00.123456789Z"),))
    settle_creations(stack, engine)
    assert engine.ids() == ["k-1", "k-2"]
    assert engine.held["deployment"]["resources"][3]["delete"] is True


def test_resources_created_by_this_or_a_later_run_are_not_looked_up(stack, lookups):
    unconfirmed_creations.add(stack.project.root, "dev", [Creation(entry(KEY), "2026-11-25T06:00:00+00:00")])
    settle_creations(stack, Engine(resources=(entry(KEY, id="k-1", created="2026-11-25T06:00:01Z"),)))
    assert (lookups.asked, unconfirmed_creations.read(stack.project.root, "dev")) == ([], [])


def test_a_lookup_ignores_resources_older_than_the_stack(stack, lookups):
    settle_creations(stack, Engine(entry(KEY)))
    assert lookups.asked[0].since == "2026-11-25T04:00:00Z"


def test_an_interrupted_provider_and_its_resources_were_not_created(stack, lookups):
    orphan = {**entry(KEY), "provider": f"{PREFIX}pulumi:providers:aws::oregon::id"}
    engine = Engine(entry(f"{PREFIX}pulumi:providers:aws::oregon"), orphan)
    settle_creations(stack, engine)
    assert (lookups.asked, engine.ids()) == ([], [])


def test_a_kind_that_cannot_be_looked_up_is_reported(stack, lookups):
    with pytest.raises(EnvironmentFault, match=r"random:index:Id `seed`.*pulumi stack export --stack dev"):
        settle_creations(stack, Engine({**entry(f"{PREFIX}random:index:Id::seed"), "provider": f"{AWS}::id"}))


def test_a_creation_without_provider_is_not_reported_as_missing(stack, lookups):
    with pytest.raises(EnvironmentFault, match="Key `key`"):
        settle_creations(stack, Engine({**entry(KEY), "provider": ""}))


def test_an_interrupted_update_is_reported_and_left_to_the_refresh(stack, lookups):
    engine = Engine()
    engine.held["deployment"]["pending_operations"] = [{"resource": entry(KEY, id="k-1"), "type": "updating"}]
    messages = settle_creations(stack, engine)
    assert messages == ["an earlier run was interrupted while it changed Key key; the live state decides"]
    assert engine.written == 0
