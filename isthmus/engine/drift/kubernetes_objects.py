"""What of a stack's Kubernetes objects is not as it was left, and what else stands in its namespaces."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.reports.drift import Drifted, Unseen, What
from isthmus.contracts.reports.preview import PropertyChange
from isthmus.core.pulumi_values import MASK
from isthmus.engine.drift import kubernetes_fields
from isthmus.engine.drift import severity as drift_severity
from isthmus.engine.drift.kubernetes_fields import Found
from isthmus.engine.drift.kubernetes_pods import strangers
from isthmus.engine.kubernetes import managed_fields
from isthmus.engine.kubernetes import ownership as kubernetes_ownership
from isthmus.engine.kubernetes.client import ApiRefusal
from isthmus.engine.kubernetes.discovery import Kind, Live
from isthmus.engine.preview.masking import Masker
from isthmus.engine.preview.noise import noise
from isthmus.engine.preview.stateful_types import stateful
from isthmus.graph.resources.state import Stated

_HIDDEN = ("Secret", "ConfigMap")
"""Kinds of which a foreign one is told by its keys alone: what stands in them may be anything."""
_TOLD = ("spec", "subjects", "roleRef", "rules", "webhooks", "secrets", "imagePullSecrets")
"""Parts of a foreign object that say what it does."""
_NOTHING_MORE = ("Patch",)
"""Of what others own, only the fields that we set are ours to speak of."""

_SET: tuple[What, ...] = ("changed", "added")


@dataclass
class Stands:
    """What a cluster says of a stack."""

    drifts: list[Drifted] = field(default_factory=list)
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """URN → what stands, in place of what the state says; of what is not as it was left."""
    gone: set[str] = field(default_factory=set)
    foreign: list[Stated] = field(default_factory=list)
    """What is not ours, as the graph takes it."""
    unseen: list[Unseen] = field(default_factory=list)
    looked: set[str] = field(default_factory=set)
    """URNs that were asked for and answered."""


@dataclass
class Cluster:
    """One cluster, and what the states know of it."""

    live: Live
    own: Sequence[Stated]
    """Of the stack."""
    every: Sequence[Stated]
    """Of its whole estate."""
    managers: Mapping[str, frozenset[str]]
    """URN → the field managers by which the engine sets it."""
    masker: Masker

    def look(self) -> Stands:
        """Ask it."""
        found = Stands(unseen=self.live.unseen)
        asked = [each for each in self.own if _object(each)]
        sharing = self._sharing()
        for each, answer in zip(asked, self.live.each(self._read, asked), strict=True):
            if isinstance(answer, Unseen):
                found.unseen.append(answer)
                continue
            found.looked.add(each.urn)
            if answer is None:
                found.gone.add(each.urn)
                found.drifts.append(self._gone(each, "we made it, and it is not there"))
            elif (answer.get("metadata") or {}).get("deletionTimestamp"):
                found.drifts.append(self._gone(each, "it is being deleted"))
            else:
                self._compare(each, answer, sharing, found)
        self._strange(found)
        return found

    def _read(self, one: Stated) -> dict[str, Any] | Unseen | None:
        kind = self.live.kind(str(one.inputs["apiVersion"]), str(one.inputs["kind"]))
        if kind is None:
            lost = any(each.what.startswith("kinds of") for each in self.live.unseen)
            return self._unseen(one, "its kind could not be asked for") if lost else None
        space, _, name = one.id.rpartition("/")
        try:
            return self.live.one(kind, space or None, name, whole=kind.kind != "Secret")
        except ApiRefusal as refused:
            return self._unseen(one, str(refused))

    def _unseen(self, one: Stated, why: str) -> Unseen:
        return Unseen(what=f"{one.inputs['kind']} {one.id}", where=self.live.cluster.context, why=why)

    def _sharing(self) -> dict[tuple[str, str], frozenset[str]]:
        """Object → all managers of ours on it: a patch sets fields of what another resource makes."""
        found: dict[tuple[str, str], frozenset[str]] = {}
        for each in self.every:
            if _object(each):
                key = (str(each.inputs["kind"]), each.id)
                found[key] = found.get(key, frozenset()) | self.managers.get(each.urn, frozenset())
        return found

    def _gone(self, one: Stated, why: str) -> Drifted:
        return Drifted(
            **self._named(one),
            op="delete",
            what="gone",
            severity=drift_severity.severity("gone", one.type),
            why=why,
        )

    def _compare(
        self,
        one: Stated,
        live: dict[str, Any],
        sharing: Mapping[tuple[str, str], frozenset[str]],
        found: Stands,
    ) -> None:
        fields = managed_fields.fields((live.get("metadata") or {}).get("managedFields"))
        ours = sharing.get((str(one.inputs["kind"]), one.id), frozenset())
        if one.inputs["kind"] == "Secret":
            said, there = _keys_of_secret(one.inputs, live, fields, ours)
        else:
            said, there = one.inputs, live
        theirs = kubernetes_fields.found(said, there, fields, ours)
        patch = one.type.endswith(_NOTHING_MORE)
        others = [
            each
            for each in theirs
            if not drift_severity.brought(one.type, each.path)
            # What another resource of ours sets, this one does not say.
            and not (each.what == "added" and each.by and each.by <= ours and self._also(one))
            and not (patch and (each.what == "added" or each.old is None))
        ]
        scalers = [each.inputs for each in self.every if each.inputs.get("kind") in _SCALERS]
        asked: dict[str, list[Found]] = {}
        for each in others:
            because = drift_severity.scaled(one.type, one.inputs, each.path, each.new, scalers)
            asked.setdefault(because, []).append(each)
        for because, mine in sorted(asked.items()):
            for what in _SET:
                some = [each for each in mine if each.what == what]
                if some:
                    found.drifts.append(self._differs(one, what, some, fields, because))
        if others and one.inputs["kind"] != "Secret":
            found.inputs[one.urn] = bare(live)

    def _also(self, one: Stated) -> bool:
        """Whether several resources of ours speak of the object."""
        key = (one.inputs["kind"], one.id)
        return sum(_object(each) and (each.inputs["kind"], each.id) == key for each in self.every) > 1

    def _differs(
        self, one: Stated, what: What, some: Sequence[Found], fields: managed_fields.Fields, because: str
    ) -> Drifted:
        told = [self._property(one.type, each) for each in some]
        by = sorted({manager for each in some for manager in each.by})
        return Drifted(
            **self._named(one),
            op="update",
            what=what,
            properties=sorted(told, key=lambda each: each.path),
            severity=drift_severity.severity(what, one.type, told),
            by=[self.masker.text(each) for each in by],
            since=max((fields.since.get(each, "") for each in by), default=""),
            expected=because,
            why="what we set is different" if what == "changed" else "somebody set what we did not say",
        )

    def _property(self, type_: str, one: Found) -> PropertyChange:
        old, new = self.masker.field(one.path, one.old), self.masker.field(one.path, one.new)
        hidden = MASK in json.dumps([old, new], default=str)
        if hidden and old is not None and new is not None:
            old = new = MASK
        return PropertyChange(
            path=self.masker.text(one.path), old=old, new=new, secret=hidden, noise=noise(type_, one.path)
        )

    def _named(self, one: Stated) -> dict[str, Any]:
        space = one.id.rpartition("/")[0]
        parents = {each.urn: each.name for each in self.own}
        return {
            "urn": one.urn,
            "type": one.type,
            "name": one.name,
            "component": parents.get(one.parent or "", ""),
            "stateful": stateful(one.type),
            "where": self._where(space),
        }

    def _where(self, space: str) -> str:
        context = self.live.cluster.context
        return f"{context}, namespace {space}" if space else context

    def _strange(self, found: Stands) -> None:
        """What is in the stack's own namespaces and is nobody's that the states know."""
        spaces = {each.id: each for each in self.own if each.type.endswith(":Namespace") and _object(each)}
        standing = {name for name, each in spaces.items() if each.urn not in found.gone}
        whose = kubernetes_ownership.known(self.every)
        objects = self.live.objects(standing)
        for kind, meta in whose.foreign(objects):
            found.drifts.append(self._foreign(kind, meta, spaces, found))
        found.drifts += strangers(self.live, standing, objects, whose, self.masker, self._where)

    def _foreign(
        self, kind: Kind, one: dict[str, Any], spaces: Mapping[str, Stated], found: Stands
    ) -> Drifted:
        meta = one["metadata"]
        space, name = str(meta.get("namespace", "")), str(meta["name"])
        fields = managed_fields.fields(meta.get("managedFields"))
        whole: dict[str, Any] | None = {}
        if kind.kind not in _HIDDEN:
            try:
                whole = self.live.one(kind, space, name)
            except ApiRefusal as refused:
                where = self._where(space)
                found.unseen.append(Unseen(what=f"{kind.kind} {name}", where=where, why=str(refused)))
        made = bare(whole) if whole else {"apiVersion": kind.api_version, "kind": kind.kind, **bare(one)}
        if kind.kind in _HIDDEN:
            keys = [
                name for part in ("data", "stringData", "binaryData") for name in _owned_keys(fields, part)
            ]
            made["data"] = dict.fromkeys(sorted(keys), MASK)
            told = [
                PropertyChange(path=f"data[{json.dumps(key)}]", new=MASK, secret=True) for key in made["data"]
            ]
        else:
            parts = [(key, self.masker.field(key, made[key])) for key in sorted(_TOLD) if key in made]
            told = [
                PropertyChange(path=key, new=value, secret=MASK in json.dumps(value, default=str))
                for key, value in parts
            ]
        home = spaces[space]
        urn = f"{home.urn.rsplit('::', 2)[0]}::{kind.type}::{space}/{name}"
        found.foreign.append(Stated(urn, kind.type, name, made, provider=home.provider, id=f"{space}/{name}"))
        return Drifted(
            urn=self.masker.text(urn),
            op="create",
            what="foreign",
            type=kind.type,
            name=self.masker.text(name),
            properties=[each.model_copy(update={"path": self.masker.text(each.path)}) for each in told],
            severity=drift_severity.severity("foreign", kind.type),
            stateful=stateful(kind.type),
            where=self._where(space),
            by=[self.masker.text(each) for each in sorted(fields.since)],
            since=max([str(meta.get("creationTimestamp") or ""), *fields.since.values()]),
            why="it is in a namespace of ours, and no state knows it",
        )


_SCALERS = ("ScaledObject", "HorizontalPodAutoscaler")


def _object(one: Stated) -> bool:
    """Whether it is one object that the stack makes or patches, and no chart."""
    return (
        one.made
        and one.type.startswith("kubernetes:")
        and "kind" in one.inputs
        and "apiVersion" in one.inputs
    )


def bare(live: Mapping[str, Any]) -> dict[str, Any]:
    """An object as somebody would write it: without what only the API server and controllers say."""
    made = copy.deepcopy({key: value for key, value in live.items() if key != "status"})
    meta = made.get("metadata") or {}
    kept = ("name", "namespace", "labels", "annotations", "ownerReferences")
    made["metadata"] = {key: meta[key] for key in kept if key in meta}
    return made


def _owned_keys(fields: managed_fields.Fields, part: str) -> dict[str, managed_fields.Owned]:
    at = fields.tree.name(part)
    return {step.text: each for step, each in at.below.items() if step.sort == "f"} if at else {}


def _keys_of_secret(
    inputs: Mapping[str, Any], live: Mapping[str, Any], fields: managed_fields.Fields, ours: Iterable[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A Secret as it was said and as it stands, by its keys alone; its data is never read.

    Which key somebody else has changed is told by who has the last word on it.
    """
    there = {key: each for part in ("data", "stringData") for key, each in _owned_keys(fields, part).items()}
    said: set[str] = set()
    for part in ("data", "stringData"):
        mine = inputs.get(part)
        # Where the whole map is a secret, its keys are those that are ours.
        said |= set(mine) if isinstance(mine, Mapping) else set()
        if isinstance(mine, str):
            said |= {key for key, each in there.items() if each.all() & set(ours)}
    meta = {key: value for key, value in inputs.items() if key in ("apiVersion", "kind", "metadata")}
    return (
        {**meta, "data": dict.fromkeys(sorted(said), MASK)},
        {"metadata": live.get("metadata") or {}, "data": dict.fromkeys(sorted(there), MASK)},
    )
