"""A stand-in for LeaderWorkerSet's controller (read: kubernetes-sigs/lws, v0.10).

As the real one it makes a StatefulSet of leaders and, owned by each leader, one of its workers; the pods
are made, rolled and ended by Kubernetes' own controllers. A group with a pod that ended or restarted is
made anew whole, an update goes group by group from the last, with one more where `maxSurge` says so.
Its webhook's labels come from `labels.policies`. It sets no variables, knows no subgroups, no exclusive
topology and no volume claims, and does not remember the templates of earlier revisions.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

from sandbox.cluster.client import ApiError, KubeClient
from sandbox.operators.labels import GROUP, KEY, MEMBER, NAME, REVISION, SIZE

GROUP_VERSION = "leaderworkerset.x-k8s.io/v1"
SETS = f"/apis/{GROUP_VERSION}/leaderworkersets"
MANAGER = "lws-stand-in"

Object = dict[str, Any]


@dataclass
class Controller:
    """One cluster's; `seen` remembers the workers of each leader, by uid."""

    client: KubeClient
    seen: dict[str, set[str]] = field(default_factory=dict)

    def reconcile(self) -> None:
        """Bring every set one step further; what an API server refuses is tried again at the next call."""
        found = self.client.request("GET", SETS)
        if found.status_code != 200:
            return  # the definition is not there yet
        for each in found.json()["items"]:
            if not each["metadata"].get("deletionTimestamp"):
                _Set(self, each).reconcile()


@dataclass
class _Group:
    """The pods of one group, and the StatefulSet of its workers."""

    index: int
    leader: Object
    workers: list[Object]
    size: int
    revision: str

    @property
    def updated(self) -> bool:
        pods = [self.leader, *self.workers]
        return all(pod["metadata"]["labels"].get(REVISION) == self.revision for pod in pods)

    @property
    def ready(self) -> bool:
        pods = [self.leader, *self.workers]
        return len(pods) == self.size and all(_ready(pod) for pod in pods)


class _Set:
    def __init__(self, controller: Controller, made: Object) -> None:
        self.controller, self.client = controller, controller.client
        self.made = made
        self.meta, self.spec = made["metadata"], made["spec"]
        self.name, self.space = self.meta["name"], self.meta["namespace"]
        self.template = self.spec["leaderWorkerTemplate"]
        self.size, self.replicas = self.template.get("size", 1), self.spec.get("replicas", 1)
        self.revision = _digest(self.template)
        chosen = f"labelSelector={NAME}={self.name}"
        self.sets_path = f"/apis/apps/v1/namespaces/{self.space}/statefulsets"
        self.pods_path = f"/api/v1/namespaces/{self.space}/pods"
        self.sets = {each["metadata"]["name"]: each for each in self._list(f"{self.sets_path}?{chosen}")}
        self.pods = self._list(f"{self.pods_path}?{chosen}")
        self.groups = self._groups()

    def _list(self, path: str) -> list[Object]:
        return self.client.get(path)["items"]

    def _groups(self) -> dict[int, _Group]:
        found: dict[int, _Group] = {}
        for pod in self.pods:
            if pod["metadata"]["labels"].get(MEMBER) == "0":
                index = int(pod["metadata"]["labels"].get(GROUP, -1))
                found[index] = _Group(index, pod, [], self.size, self.revision)
        for pod in self.pods:
            group = found.get(int(pod["metadata"]["labels"].get(GROUP, -1)))
            if group is not None and pod is not group.leader:
                group.workers.append(pod)
        return found

    def reconcile(self) -> None:
        rolling = self._rolling()
        most = self.spec.get("rolloutStrategy", {}).get("rollingUpdateConfiguration", {})
        total = self.replicas + (int(most.get("maxSurge", 0)) if rolling else 0)
        self._service()
        self._leaders(total, self._partition(total, int(most.get("maxUnavailable", 1))) if rolling else 0)
        for group in self.groups.values():
            if not self._restarted(group):
                self._workers(group)
        self._status(rolling)

    def _rolling(self) -> bool:
        """Until every group that stays is of the current templates and ready again, once one is not."""
        mine = [group for index, group in self.groups.items() if index < self.replicas]
        outdated = any(not group.updated for group in mine)
        surged = any(index >= self.replicas for index in self.groups)
        # A leader that is being replaced is not there for a moment.
        whole = len(mine) == self.replicas and all(group.ready for group in mine)
        return bool(self.sets) and (outdated or (surged and not whole))

    def _partition(self, total: int, unavailable: int) -> int:
        """Groups below it stay as they are: one after the other from the last is brought up to date."""
        for index in reversed(range(total)):
            group = self.groups.get(index)
            if group is None or not (group.updated and group.ready):
                return max(0, index - max(0, unavailable - 1))
        return 0

    def _service(self) -> None:
        """The headless Service of the set's name; one that is there already is left alone, as it does."""
        path = f"/api/v1/namespaces/{self.space}/services"
        if self.client.find(f"{path}/{self.name}") is not None:
            return
        spec = {"clusterIP": "None", "selector": {NAME: self.name}, "publishNotReadyAddresses": True}
        meta = {"name": self.name, "ownerReferences": [_owner(self.made)]}
        self.client.create(path, {"metadata": meta, "spec": spec})

    def _leaders(self, total: int, partition: int) -> None:
        template = self.template.get("leaderTemplate") or self.template["workerTemplate"]
        mine = {NAME: self.name, MEMBER: "0"}
        self._apply(
            self.name,
            self.made,
            {NAME: self.name},
            {
                "replicas": total,
                "serviceName": self.name,
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": mine},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}},
                "template": self._pod(template, {**mine, REVISION: self.revision}),
            },
        )

    def _workers(self, group: _Group) -> None:
        leader = group.leader["metadata"]
        current = leader["labels"].get(REVISION) == self.revision
        there = leader["name"] in self.sets  # of this leader, or of one before it that is not gone yet
        if self.size == 1 or there or not current or leader.get("deletionTimestamp"):
            return
        mine = {NAME: self.name, GROUP: str(group.index), KEY: leader["labels"][KEY]}
        self._apply(
            leader["name"],
            group.leader,
            {**mine, REVISION: self.revision},
            {
                "replicas": self.size - 1,
                "serviceName": self.name,
                "podManagementPolicy": "Parallel",
                "ordinals": {"start": 1},
                "selector": {"matchLabels": mine},
                "template": self._pod(self.template["workerTemplate"], {**mine, REVISION: self.revision}),
            },
        )

    def _pod(self, template: Object, labels: dict[str, str]) -> Object:
        meta = template.get("metadata") or {}
        return {
            "metadata": {
                "labels": {**meta.get("labels", {}), **labels},
                "annotations": {**meta.get("annotations", {}), SIZE: str(self.size)},
            },
            "spec": template["spec"],
        }

    def _apply(self, name: str, owner: Object, labels: dict[str, str], spec: Object) -> None:
        body = {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": name, "labels": labels, "ownerReferences": [_owner(owner)]},
            "spec": spec,
        }
        self.client.apply(f"{self.sets_path}/{name}", body, manager=MANAGER)

    def _restarted(self, group: _Group) -> bool:
        """Whether a pod of the group ended or restarted; its leader then goes, and takes the rest along."""
        leader = group.leader["metadata"]
        if leader.get("deletionTimestamp"):
            return True
        workers = self._own_workers(group)
        uids = {pod["metadata"]["uid"] for pod in workers}
        before = self.controller.seen.get(leader["uid"], set())
        ended = [pod for pod in workers if pod["metadata"].get("deletionTimestamp")]
        again = [pod for pod in (group.leader, *group.workers) if _restarts(pod)]
        self.controller.seen[leader["uid"]] = before | uids
        policy = self.template.get("restartPolicy", "RecreateGroupOnPodRestart")
        if policy != "RecreateGroupOnPodRestart" or not (ended or again or before - uids):
            return False
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}
        try:
            self.client.call("DELETE", f"{self.pods_path}/{leader['name']}", body=options)
        except ApiError as error:
            if error.status != 404:
                raise
        return True

    def _own_workers(self, group: _Group) -> list[Object]:
        """Those of this leader. A leader before it may have left some that are still going, whose end is no restart."""
        made = self.sets.get(group.leader["metadata"]["name"], {}).get("metadata", {})
        owners = [each["uid"] for each in made.get("ownerReferences") or []]
        if group.leader["metadata"]["uid"] not in owners:
            return []
        return [
            pod
            for pod in group.workers
            if any(each["uid"] == made["uid"] for each in pod["metadata"].get("ownerReferences") or [])
        ]

    def _status(self, rolling: bool) -> None:
        mine = [group for index, group in self.groups.items() if index < self.replicas]
        ready = sum(group.ready for group in mine)
        updated = sum(group.updated for group in mine)
        done = not rolling and ready == updated == self.replicas
        before = self.made.get("status") or {}
        told = {
            "Available": (done, "AllGroupsReady", "All replicas are ready"),
            "Progressing": (not done, "GroupsProgressing", "Replicas are progressing"),
            "UpdateInProgress": (rolling, "GroupsUpdating", "Rolling Upgrade is in progress"),
        }
        status = {
            "replicas": len(self.groups),
            "readyReplicas": ready,
            "updatedReplicas": updated,
            "observedGeneration": self.meta.get("generation", 1),
            "hpaPodSelector": f"{NAME}={self.name},{MEMBER}=0",
            "conditions": [
                _condition(before, kind, "True" if holds else "False", reason, message)
                for kind, (holds, reason, message) in told.items()
            ],
        }
        if status != {key: before.get(key) for key in status}:
            self.client.call(
                "PATCH",
                f"/apis/{GROUP_VERSION}/namespaces/{self.space}/leaderworkersets/{self.name}/status",
                body={"status": status},
                media="application/merge-patch+json",
            )


def _condition(before: Object, kind: str, status: str, reason: str, message: str) -> Object:
    known = next((each for each in before.get("conditions") or [] if each["type"] == kind), None)
    if known is not None and known["status"] == status:
        return known
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now}


def _owner(of: Object) -> Object:
    return {
        "apiVersion": of.get("apiVersion", "v1"),
        "kind": of.get("kind", "Pod"),
        "name": of["metadata"]["name"],
        "uid": of["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return not pod["metadata"].get("deletionTimestamp") and any(
        each["type"] == "Ready" and each["status"] == "True" for each in conditions
    )


def _restarts(pod: Object) -> bool:
    status = pod.get("status", {})
    boxes = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    return any(each.get("restartCount", 0) > 0 for each in boxes)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]
