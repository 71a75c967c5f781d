"""What a run that was cut off left open, decided before the next one changes anything.

Every creation whose end is not known is looked up, in its cluster or its account. What exists is taken
into the state, what does not is forgotten, and what cannot be decided is named, with the command that shows
it: nothing is guessed, and nothing is done before all are decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from isthmus.core.errors import EnvironmentFault, InputError
from isthmus.engine.automation.events import resource_label
from isthmus.engine.project.aws_account import Aws
from isthmus.engine.recovery import kubernetes_lookup
from isthmus.engine.recovery.aws import types as aws_types
from isthmus.engine.state import backup as state_backup
from isthmus.engine.state import interrupted_creations, unconfirmed_creations
from isthmus.engine.state.interrupted_creations import Creation, Made, NotMade, Unknown, Verdict

if TYPE_CHECKING:
    from isthmus.engine.automation.stack_engine import Engine
    from isthmus.engine.kubernetes.client import Cluster
    from isthmus.engine.project.project import Stack

Say = Callable[[str], None]


@dataclass(frozen=True)
class Answers:
    """What the user has found out about creations that could not be decided, by their logical names or URNs."""

    made: Mapping[str, str] = field(default_factory=dict)
    """Name → the id of what exists."""
    not_made: frozenset[str] = frozenset()

    def of(self, creation: Creation) -> Verdict | None:
        for key in (creation.urn, creation.name):
            if key in self.made:
                return Made(self.made[key])
            if key in self.not_made:
                return NotMade("you said so")
        return None

    def agree(self) -> None:
        """`InputError` where two answers to one creation, by its name and by its URN, contradict each other."""
        for first in sorted(self.made):
            for second in sorted(self.not_made):
                if _may_be_same(first, second):
                    raise InputError(
                        f"`{_logical_name(first)}` is said to be made and not made{_other_spelling(first, second)}",
                        where="--made, --not-made",
                        fix="Give one of them; where two creations have the name, give the URN of each",
                    )
            for second in sorted(self.made):
                if _may_be_same(first, second) and self.made[first] != self.made[second]:
                    raise InputError(
                        f"`{_logical_name(first)}` is said to be made with two ids{_other_spelling(first, second)}",
                        where="--made",
                        fix="Give the one that exists",
                    )

    def check(self, creations: list[Creation], stack: str) -> None:
        """`InputError` for answers that contradict each other, or one to what nobody asked or to several creations."""
        self.agree()
        where = f"stack {stack}"
        unused = self.unused(creations)
        if unused:
            open_ = ", ".join(sorted({creation.name for creation in creations})) or "nothing"
            raise InputError(f"no creation of `{unused[0]}` is open", where=where, fix=f"Open is: {open_}")
        for key in sorted({*self.made, *self.not_made}):
            urns = sorted({creation.urn for creation in creations if creation.name == key})
            if len(urns) > 1:
                raise InputError(
                    f"`{key}` is the name of {len(urns)} open creations",
                    where=where,
                    fix=f"Say which, by its URN: {', '.join(urns)}",
                )

    def unused(self, creations: list[Creation]) -> list[str]:
        names = {key for creation in creations for key in (creation.urn, creation.name)}
        return sorted({*self.made, *self.not_made} - names)


NO_ANSWERS = Answers()


def _may_be_same(first: str, second: str) -> bool:
    """Whether two answers are about the same creation: by the same words, or one by its URN, one by its name."""
    return first == second or _logical_name(first) == second or first == _logical_name(second)


def _other_spelling(first: str, second: str) -> str:
    """The URN that one of two answers to the same creation gave, where one did."""
    urn = max(first, second, key=len)
    return "" if urn == _logical_name(urn) else f", by that name or as `{urn}`"


def _logical_name(key: str) -> str:
    """The logical name in a URN (`urn:pulumi:STACK::PROJECT::TYPE::NAME`; it may hold `::`), or the text itself."""
    return key.split("::", 3)[-1] if key.startswith("urn:pulumi:") else key


def settle(stack: Stack, engine: Engine, say: Say, answers: Answers = NO_ANSWERS) -> dict[str, Any]:
    """Decide what is open and return the exported state after it.

    Raises `EnvironmentFault` where a cluster or account cannot be asked, or naming what is undecided;
    the state is then as it was. Raises `InputError` for an answer to what nobody asked.
    """
    root, name = stack.project.root, stack.name
    exported = engine.export()
    state = exported.get("deployment") or {}
    interrupted = [
        replace(creation, since=_since(state, state_backup.time_of_copy_before(root, name, creation.urn)))
        for creation in interrupted_creations.find_interrupted_creations(state)
    ]
    unconfirmed = [
        creation if creation.since else replace(creation, since=_since(state, None))
        for creation in unconfirmed_creations.read(root, name)
    ]
    interrupted_keys = [(creation.urn, creation.inputs) for creation in interrupted]
    creations = interrupted + [
        creation
        for creation in unconfirmed
        if not _is_in_state(state, creation) and (creation.urn, creation.inputs) not in interrupted_keys
    ]
    answers.check(creations, name)
    other_urns = [
        operation["resource"]["urn"]
        for operation in state.get("pending_operations") or []
        if operation.get("type") != "creating"
    ]
    if not creations:
        if unconfirmed:
            unconfirmed_creations.forget(root, name)
        if other_urns:
            say(
                f"an earlier run was cut off in the middle of {_list_resources(other_urns)}; what is live decides"
            )
        return exported
    say(
        f"an earlier run was cut off while it made {_list_resources([creation.urn for creation in creations])}; looking at what there is"
    )
    lookup = _Lookup(stack, state)
    verdicts = [(creation, answers.of(creation) or lookup.about(creation)) for creation in creations]
    undecided = [(creation, verdict) for creation, verdict in verdicts if isinstance(verdict, Unknown)]
    if undecided:
        raise _undecided_fault(name, undecided, creations)
    for creation, verdict in verdicts:
        if isinstance(verdict, Made):
            say(f"{resource_label(creation.urn)} was made ({verdict.id}): taken into the state")
        elif isinstance(verdict, NotMade):
            say(f"{resource_label(creation.urn)} is to be made: {verdict.why}")
    new = {**exported, "deployment": interrupted_creations.apply_verdicts(state, verdicts)}
    engine.replace(new, exported)
    unconfirmed_creations.forget(root, name)
    return engine.export()


class _Lookup:
    """The clusters and accounts of a stack, by its providers in the state."""

    def __init__(self, stack: Stack, state: dict[str, Any]) -> None:
        self._label = f"{stack.project.name}/{stack.name}"
        resources = state.get("resources") or []
        self._providers = {
            resource["urn"]: resource
            for resource in resources
            if resource["type"].startswith("pulumi:providers:")
        }
        self._ids = frozenset(
            (resource["type"], str(resource["id"])) for resource in resources if resource.get("id")
        )
        self._managers = {
            str((resource.get("outputs") or {}).get("__fieldManager"))
            for resource in resources
            if (resource.get("outputs") or {}).get("__fieldManager")
        }
        self._clusters: dict[str, Cluster] = {}
        self._accounts: dict[str, Aws] = {}

    def about(self, creation: Creation) -> Verdict:
        """Made, not made, or unknown."""
        if creation.resource.get("id"):
            return Made(str(creation.resource["id"]))
        provider = self._providers.get(creation.provider)
        package = creation.type.split(":")[0]
        if creation.type.startswith("pulumi:"):
            return NotMade("a provider is no thing outside the state")
        if provider is None and creation.provider:
            return NotMade("its provider was not made yet")
        if package == "kubernetes" and provider:
            return kubernetes_lookup.look_up(
                creation, self._cluster(provider), known_managers=self._managers, since=creation.since
            )
        if package == "aws" and provider:
            return aws_types.look_up(self._account(provider), creation)
        return Unknown(
            f"{creation.type} `{creation.name}`: nobody taught us how to look for what {package} makes",
            f"pulumi stack export --stack {self._label.rpartition('/')[2]}",
        )

    def _cluster(self, provider: dict[str, Any]) -> Cluster:
        urn = provider["urn"]
        if urn not in self._clusters:
            self._clusters[urn] = kubernetes_lookup.cluster_of(provider)
        return self._clusters[urn]

    def _account(self, provider: dict[str, Any]) -> Aws:
        urn = provider["urn"]
        if urn not in self._accounts:
            self._accounts[urn] = Aws(provider.get("inputs") or {}, self._label, self._ids)
        return self._accounts[urn]


def _since(state: dict[str, Any], copied: str | None) -> str | None:
    """Not begun before: the stack's own entry was made by the first run after its last destruction."""
    stack_created = next(
        (
            resource.get("created")
            for resource in state.get("resources") or []
            if resource["type"] == "pulumi:pulumi:Stack"
        ),
        None,
    )
    return max((time for time in (stack_created, copied) if time), default=None)


def _is_in_state(state: dict[str, Any], creation: Creation) -> bool:
    """Whether the state has the very thing: the engine kept it, with what failed, or a later run made it.

    What the state had before the run began is another one: the one that was to be replaced, perhaps for no
    change of its inputs.
    """
    return any(
        resource["urn"] == creation.urn
        and resource.get("id")
        and _has_same_inputs(resource, creation)
        and not _is_before(resource.get("created"), creation.since)
        for resource in state.get("resources") or []
    )


def _is_before(created: str | None, since: str | None) -> bool:
    """By the same machine's clock, or another's on which the last run was; not known is no."""
    if not created or not since:
        return False
    return datetime.fromisoformat(created) < datetime.fromisoformat(since)


def _has_same_inputs(entry: dict[str, Any], creation: Creation) -> bool:
    return Creation(entry).inputs == creation.inputs


def _undecided_fault(
    stack: str, undecided: list[tuple[Creation, Unknown]], creations: list[Creation]
) -> EnvironmentFault:
    """One paragraph: what may exist, how to look, what to run then."""
    descriptions = [
        f"{verdict.may} (look: `{verdict.look}`)" for _, verdict in undecided if isinstance(verdict, Unknown)
    ]
    first = undecided[0][0]
    is_ambiguous = len({creation.urn for creation in creations if creation.name == first.name}) > 1
    answer_key = first.urn if is_ambiguous else first.name
    return EnvironmentFault(
        "an earlier run was cut off, and whether what it was making exists cannot be decided from here: "
        + "; ".join(descriptions),
        where=f"stack {stack}",
        fix=f"Nothing was changed. Run the same command again with `--made {answer_key}=ID` for what exists, or"
        f" `--not-made {answer_key}` for what does not",
    )


def _list_resources(urns: list[str], most: int = 6) -> str:
    shown = ", ".join(resource_label(urn) for urn in urns[:most])
    return shown if len(urns) <= most else f"{shown} and {len(urns) - most} more"
