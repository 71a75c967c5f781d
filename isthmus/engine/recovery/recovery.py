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
        for one in sorted(self.made):
            for other in sorted(self.not_made):
                if _could_be_one(one, other):
                    raise InputError(
                        f"`{_name(one)}` is said to be made and not made{_also(one, other)}",
                        where="--made, --not-made",
                        fix="Give one of them; where two creations have the name, give the URN of each",
                    )
            for other in sorted(self.made):
                if _could_be_one(one, other) and self.made[one] != self.made[other]:
                    raise InputError(
                        f"`{_name(one)}` is said to be made with two ids{_also(one, other)}",
                        where="--made",
                        fix="Give the one that exists",
                    )

    def check(self, every: list[Creation], stack: str) -> None:
        """`InputError` for answers that contradict each other, or one to what nobody asked or to several creations."""
        self.agree()
        where = f"stack {stack}"
        strange = self.unused(every)
        if strange:
            open_ = ", ".join(sorted({each.name for each in every})) or "nothing"
            raise InputError(f"no creation of `{strange[0]}` is open", where=where, fix=f"Open is: {open_}")
        for key in sorted({*self.made, *self.not_made}):
            urns = sorted({each.urn for each in every if each.name == key})
            if len(urns) > 1:
                raise InputError(
                    f"`{key}` is the name of {len(urns)} open creations",
                    where=where,
                    fix=f"Say which, by its URN: {', '.join(urns)}",
                )

    def unused(self, all_: list[Creation]) -> list[str]:
        known = {key for each in all_ for key in (each.urn, each.name)}
        return sorted({*self.made, *self.not_made} - known)


NO_ANSWERS = Answers()


def _could_be_one(one: str, other: str) -> bool:
    """Whether two answers are about the same creation: by the same words, or one by its URN, one by its name."""
    return one == other or _name(one) == other or one == _name(other)


def _also(one: str, other: str) -> str:
    """The URN that one of two answers to the same creation gave, where one did."""
    urn = max(one, other, key=len)
    return "" if urn == _name(urn) else f", by that name or as `{urn}`"


def _name(answered: str) -> str:
    """The logical name in a URN (`urn:pulumi:STACK::PROJECT::TYPE::NAME`; it may hold `::`), or the text itself."""
    return answered.split("::", 3)[-1] if answered.startswith("urn:pulumi:") else answered


def settle(stack: Stack, engine: Engine, say: Say, answers: Answers = NO_ANSWERS) -> dict[str, Any]:
    """Decide what is open and return the exported state after it.

    Raises `EnvironmentFault` where a cluster or account cannot be asked, or naming what is undecided;
    the state is then as it was. Raises `InputError` for an answer to what nobody asked.
    """
    root, name = stack.project.root, stack.name
    exported = engine.export()
    state = exported.get("deployment") or {}
    open_ = [
        replace(each, since=_since(state, state_backup.time_of_copy_before(root, name, each.urn)))
        for each in interrupted_creations.find_interrupted_creations(state)
    ]
    lost = [
        each if each.since else replace(each, since=_since(state, None))
        for each in unconfirmed_creations.read(root, name)
    ]
    told = [(each.urn, each.inputs) for each in open_]
    every = open_ + [each for each in lost if not _held(state, each) and (each.urn, each.inputs) not in told]
    answers.check(every, name)
    others = [
        each["resource"]["urn"]
        for each in state.get("pending_operations") or []
        if each.get("type") != "creating"
    ]
    if not every:
        if lost:
            unconfirmed_creations.forget(root, name)
        if others:
            say(f"an earlier run was cut off in the middle of {_list(others)}; what is live decides")
        return exported
    say(
        f"an earlier run was cut off while it made {_list([each.urn for each in every])}; looking at what there is"
    )
    asked = _Asking(stack, state)
    verdicts = [(each, answers.of(each) or asked.about(each)) for each in every]
    undecided = [(each, verdict) for each, verdict in verdicts if isinstance(verdict, Unknown)]
    if undecided:
        raise _undecided(name, undecided, every)
    for each, verdict in verdicts:
        if isinstance(verdict, Made):
            say(f"{resource_label(each.urn)} was made ({verdict.id}): taken into the state")
        elif isinstance(verdict, NotMade):
            say(f"{resource_label(each.urn)} is to be made: {verdict.why}")
    new = {**exported, "deployment": interrupted_creations.apply_verdicts(state, verdicts)}
    engine.replace(new, exported)
    unconfirmed_creations.forget(root, name)
    return engine.export()


class _Asking:
    """The clusters and accounts of a stack, by its providers in the state."""

    def __init__(self, stack: Stack, state: dict[str, Any]) -> None:
        self._label = f"{stack.project.name}/{stack.name}"
        resources = state.get("resources") or []
        self._providers = {
            each["urn"]: each for each in resources if each["type"].startswith("pulumi:providers:")
        }
        self._ids = frozenset((each["type"], str(each["id"])) for each in resources if each.get("id"))
        self._managers = {
            str((each.get("outputs") or {}).get("__fieldManager"))
            for each in resources
            if (each.get("outputs") or {}).get("__fieldManager")
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
            return kubernetes_lookup.look(
                creation, self._cluster(provider), known=self._managers, since=creation.since
            )
        if package == "aws" and provider:
            return aws_types.look(self._account(provider), creation)
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
    born = next(
        (
            each.get("created")
            for each in state.get("resources") or []
            if each["type"] == "pulumi:pulumi:Stack"
        ),
        None,
    )
    return max((each for each in (born, copied) if each), default=None)


def _held(state: dict[str, Any], creation: Creation) -> bool:
    """Whether the state has the very thing: the engine kept it, with what failed, or a later run made it.

    What the state had before the run began is another one: the one that was to be replaced, perhaps for no
    change of its inputs.
    """
    return any(
        each["urn"] == creation.urn
        and each.get("id")
        and _same(each, creation)
        and not _before(each.get("created"), creation.since)
        for each in state.get("resources") or []
    )


def _before(created: str | None, since: str | None) -> bool:
    """By the same machine's clock, or another's on which the last run was; not known is no."""
    if not created or not since:
        return False
    return datetime.fromisoformat(created) < datetime.fromisoformat(since)


def _same(entry: dict[str, Any], creation: Creation) -> bool:
    return Creation(entry).inputs == creation.inputs


def _undecided(stack: str, found: list[tuple[Creation, Unknown]], every: list[Creation]) -> EnvironmentFault:
    """One paragraph: what may exist, how to look, what to run then."""
    told = [f"{verdict.may} (look: `{verdict.look}`)" for _, verdict in found if isinstance(verdict, Unknown)]
    first = found[0][0]
    shared = len({each.urn for each in every if each.name == first.name}) > 1
    call = first.urn if shared else first.name
    return EnvironmentFault(
        "an earlier run was cut off, and whether what it was making exists cannot be decided from here: "
        + "; ".join(told),
        where=f"stack {stack}",
        fix=f"Nothing was changed. Run the same command again with `--made {call}=ID` for what exists, or"
        f" `--not-made {call}` for what does not",
    )


def _list(urns: list[str], most: int = 6) -> str:
    shown = ", ".join(resource_label(urn) for urn in urns[:most])
    return shown if len(urns) <= most else f"{shown} and {len(urns) - most} more"
