"""Decides the interrupted creations of an earlier run before the next run changes anything.

Every creation without a known end is looked up in its cluster or account. Existing resources are taken into the state;
missing ones are forgotten. If one cannot be decided, the run stops and names the command that shows it. Nothing is
guessed, and nothing is changed before all are decided.
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
    from isthmus.core.kubernetes_client import KubeClient
    from isthmus.engine.automation.stack_engine import Engine
    from isthmus.engine.project.project import Stack

Say = Callable[[str], None]


@dataclass(frozen=True)
class Answers:
    """The user's answers about undecided creations, by logical name or URN (`--made`, `--not-made`)."""

    made: Mapping[str, str] = field(default_factory=dict)
    """Name or URN → id of the existing resource."""
    not_made: frozenset[str] = frozenset()

    def of(self, creation: Creation) -> Verdict | None:
        for key in (creation.urn, creation.name):
            if key in self.made:
                return Made(self.made[key])
            if key in self.not_made:
                return NotMade("--not-made says so")
        return None

    def agree(self) -> None:
        """Raise `InputError` if two answers about one creation contradict each other."""
        for first in sorted(self.made):
            for second in sorted(self.not_made):
                if _may_be_same(first, second):
                    raise InputError(
                        f"`{_logical_name(first)}` is in both --made and --not-made{_other_spelling(first, second)}",
                        where="--made, --not-made",
                        fix="Give one of them; if two creations have this name, give their URNs",
                    )
            for second in sorted(self.made):
                if _may_be_same(first, second) and self.made[first] != self.made[second]:
                    raise InputError(
                        f"`{_logical_name(first)}` has two ids in --made{_other_spelling(first, second)}",
                        where="--made",
                        fix="Keep the id that exists in the account, and remove the other",
                    )

    def check(self, creations: list[Creation], stack: str) -> None:
        """Raise `InputError` for answers that are contradictory, unused, or match several creations."""
        self.agree()
        where = f"stack {stack}"
        unused = self.unused(creations)
        if unused:
            undecided = ", ".join(sorted({creation.name for creation in creations}))
            raise InputError(
                f"`{unused[0]}` is not an undecided creation",
                where=where,
                fix=f"Name one of the undecided creations: {undecided}" if creations else "Remove the option",
            )
        for key in sorted({*self.made, *self.not_made}):
            urns = sorted({creation.urn for creation in creations if creation.name == key})
            if len(urns) > 1:
                raise InputError(
                    f"{len(urns)} undecided creations have the name `{key}`",
                    where=where,
                    fix=f"Give the URN instead: {', '.join(urns)}",
                )

    def unused(self, creations: list[Creation]) -> list[str]:
        names = {key for creation in creations for key in (creation.urn, creation.name)}
        return sorted({*self.made, *self.not_made} - names)


NO_ANSWERS = Answers()


def _may_be_same(first: str, second: str) -> bool:
    """Whether two keys may mean the same creation: they are equal, or one is the URN and one the name."""
    return first == second or _logical_name(first) == second or first == _logical_name(second)


def _other_spelling(first: str, second: str) -> str:
    """Text for the URN, if one of the two keys is a URN."""
    urn = max(first, second, key=len)
    return "" if urn == _logical_name(urn) else f", once by its name and once as `{urn}`"


def _logical_name(key: str) -> str:
    """The logical name in a URN (`urn:pulumi:STACK::PROJECT::TYPE::NAME`; NAME may contain `::`), or the key itself."""
    return key.split("::", 3)[-1] if key.startswith("urn:pulumi:") else key


def settle(stack: Stack, engine: Engine, say: Say, answers: Answers = NO_ANSWERS) -> dict[str, Any]:
    """Decide all interrupted creations, and return the exported state afterwards.

    Raises `EnvironmentFault` if a cluster or account does not answer, or for undecided creations; the state is then
    unchanged. Raises `InputError` for an answer that matches no creation.
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
                f"an earlier run was interrupted while it changed {_list_resources(other_urns)}; the live state decides"
            )
        return exported
    say(
        f"an earlier run was interrupted while it created "
        f"{_list_resources([creation.urn for creation in creations])}; looking them up"
    )
    lookup = _Lookup(stack, state)
    verdicts = [(creation, answers.of(creation) or lookup.about(creation)) for creation in creations]
    undecided = [(creation, verdict) for creation, verdict in verdicts if isinstance(verdict, Unknown)]
    if undecided:
        raise _undecided_fault(name, undecided, creations)
    for creation, verdict in verdicts:
        if isinstance(verdict, Made):
            say(f"{resource_label(creation.urn)} exists ({verdict.id}): taken into the state")
        elif isinstance(verdict, NotMade):
            say(f"{resource_label(creation.urn)} will be created: {verdict.why}")
    new = {**exported, "deployment": interrupted_creations.apply_verdicts(state, verdicts)}
    engine.replace(new, exported)
    unconfirmed_creations.forget(root, name)
    return engine.export()


class _Lookup:
    """Looks up creations in the clusters and accounts of a stack, through its providers in the state."""

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
        self._clusters: dict[str, KubeClient] = {}
        self._accounts: dict[str, Aws] = {}

    def about(self, creation: Creation) -> Verdict:
        """The verdict about a creation."""
        if creation.resource.get("id"):
            return Made(str(creation.resource["id"]))
        provider = self._providers.get(creation.provider)
        package = creation.type.split(":")[0]
        if creation.type.startswith("pulumi:"):
            return NotMade("a provider exists only in the state")
        if provider is None and creation.provider:
            return NotMade("its provider was not created yet")
        if package == "kubernetes" and provider:
            return kubernetes_lookup.look_up(
                creation, self._cluster(provider), known_managers=self._managers, since=creation.since
            )
        if package == "aws" and provider:
            return aws_types.look_up(self._account(provider), creation)
        return Unknown(
            f"{creation.type} `{creation.name}`: Isthmus cannot look up resources of package {package}",
            f"pulumi stack export --stack {self._label.rpartition('/')[2]}",
        )

    def _cluster(self, provider: dict[str, Any]) -> KubeClient:
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
    """Earliest start of a creation: the later of the stack's creation and the time of the last backup without it."""
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
    """Whether the state already has the created resource, with the same inputs.

    A resource from before the run does not count: it is the one to be replaced, whose inputs may be the same.
    """
    return any(
        resource["urn"] == creation.urn
        and resource.get("id")
        and _has_same_inputs(resource, creation)
        and not _is_before(resource.get("created"), creation.since)
        for resource in state.get("resources") or []
    )


def _is_before(created: str | None, since: str | None) -> bool:
    """Whether a time is earlier; False if one is unknown. Both come from the clocks of machines that ran Isthmus."""
    if not created or not since:
        return False
    return datetime.fromisoformat(created) < datetime.fromisoformat(since)


def _has_same_inputs(entry: dict[str, Any], creation: Creation) -> bool:
    return Creation(entry).inputs == creation.inputs


def _undecided_fault(
    stack: str, undecided: list[tuple[Creation, Unknown]], creations: list[Creation]
) -> EnvironmentFault:
    """The error for undecided creations: what may exist, how to look it up, what to run then."""
    descriptions = [
        f"{verdict.may} (look it up: `{verdict.look}`)"
        for _, verdict in undecided
        if isinstance(verdict, Unknown)
    ]
    first = undecided[0][0]
    is_ambiguous = len({creation.urn for creation in creations if creation.name == first.name}) > 1
    answer_key = first.urn if is_ambiguous else first.name
    return EnvironmentFault(
        "an earlier run was interrupted, and Isthmus cannot decide whether these resources exist: "
        + "; ".join(descriptions),
        where=f"stack {stack}",
        fix=f"Nothing was changed. Run the same command again with `--made {answer_key}=ID` if it exists, or"
        f" `--not-made {answer_key}` if it does not",
    )


def _list_resources(urns: list[str], most: int = 6) -> str:
    shown = ", ".join(resource_label(urn) for urn in urns[:most])
    return shown if len(urns) <= most else f"{shown} and {len(urns) - most} more"
