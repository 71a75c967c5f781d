"""A stand-in for LeaderWorkerSet's controller (modelled on kubernetes-sigs/lws, v0.10).

Like the real one, it creates a StatefulSet of leaders and, owned by each leader, a StatefulSet of its workers.
Kubernetes' own controllers create, roll and end the pods. If a pod of a group ends or restarts, the whole group is
recreated. An update goes group by group from the last, with additional groups if `maxSurge` is set. The labels
that the real webhook sets come from `labels.build_policies`.

Not simulated: environment variables, subgroups, exclusive topology, volume claims, templates of earlier revisions.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

from isthmus.core.kubernetes_client import MERGE_PATCH, ApiRefusal, KubeClient
from sandbox.operators.labels import GROUP, KEY, MEMBER, NAME, REVISION, SIZE

GROUP_VERSION = "leaderworkerset.x-k8s.io/v1"
SETS = f"/apis/{GROUP_VERSION}/leaderworkersets"
MANAGER = "lws-stand-in"

Object = dict[str, Any]


@dataclass
class Controller:
    """The controller of one cluster. `seen` maps a leader's uid to the uids of its workers."""

    client: KubeClient
    seen: dict[str, set[str]] = field(default_factory=dict)

    def reconcile(self) -> None:
        """Bring every set one step further. If the API server refuses a change, the next call tries again."""
        response = self.client.request("GET", SETS)
        if response.status_code != 200:
            return  # the CRD does not exist yet
        for manifest in response.json()["items"]:
            if not manifest["metadata"].get("deletionTimestamp"):
                _Set(self, manifest).reconcile()


@dataclass
class _Group:
    """The pods of one group."""

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
        return len(pods) == self.size and all(_is_ready(pod) for pod in pods)


class _Set:
    def __init__(self, controller: Controller, manifest: Object) -> None:
        self.controller, self.client = controller, controller.client
        self.manifest = manifest
        self.meta, self.spec = manifest["metadata"], manifest["spec"]
        self.name, self.namespace = self.meta["name"], self.meta["namespace"]
        self.template = self.spec["leaderWorkerTemplate"]
        self.size, self.replicas = self.template.get("size", 1), self.spec.get("replicas", 1)
        self.revision = _digest(self.template)
        selector = f"labelSelector={NAME}={self.name}"
        self.sets_path = f"/apis/apps/v1/namespaces/{self.namespace}/statefulsets"
        self.pods_path = f"/api/v1/namespaces/{self.namespace}/pods"
        self.sets = {
            stateful_set["metadata"]["name"]: stateful_set
            for stateful_set in self._list(f"{self.sets_path}?{selector}")
        }
        self.pods = self._list(f"{self.pods_path}?{selector}")
        self.groups = self._groups()

    def _list(self, path: str) -> list[Object]:
        return self.client.get(path)["items"]

    def _groups(self) -> dict[int, _Group]:
        groups: dict[int, _Group] = {}
        for pod in self.pods:
            if pod["metadata"]["labels"].get(MEMBER) == "0":
                index = int(pod["metadata"]["labels"].get(GROUP, -1))
                groups[index] = _Group(index, pod, [], self.size, self.revision)
        for pod in self.pods:
            group = groups.get(int(pod["metadata"]["labels"].get(GROUP, -1)))
            if group is not None and pod is not group.leader:
                group.workers.append(pod)
        return groups

    def reconcile(self) -> None:
        is_rolling = self._rolling()
        rolling_update = self.spec.get("rolloutStrategy", {}).get("rollingUpdateConfiguration", {})
        total = self.replicas + (int(rolling_update.get("maxSurge", 0)) if is_rolling else 0)
        self._service()
        self._leaders(
            total, self._partition(total, int(rolling_update.get("maxUnavailable", 1))) if is_rolling else 0
        )
        for group in self.groups.values():
            if not self._restarted(group):
                self._workers(group)
        self._status(is_rolling)

    def _rolling(self) -> bool:
        """Return True while an update is in progress.

        An update starts when a group has an outdated template. It ends when all wanted groups are current and ready.
        """
        wanted_groups = [group for index, group in self.groups.items() if index < self.replicas]
        outdated = any(not group.updated for group in wanted_groups)
        has_surge = any(index >= self.replicas for index in self.groups)
        # A leader that is being replaced is missing for a moment.
        all_ready = len(wanted_groups) == self.replicas and all(group.ready for group in wanted_groups)
        return bool(self.sets) and (outdated or (has_surge and not all_ready))

    def _partition(self, total: int, unavailable: int) -> int:
        """Return the rolling update's partition: groups with a lower index are not updated yet."""
        for index in reversed(range(total)):
            group = self.groups.get(index)
            if group is None or not (group.updated and group.ready):
                return max(0, index - max(0, unavailable - 1))
        return 0

    def _service(self) -> None:
        """Create the set's headless Service. Like the real controller, leave an existing Service unchanged."""
        path = f"/api/v1/namespaces/{self.namespace}/services"
        if self.client.find(f"{path}/{self.name}") is not None:
            return
        spec = {"clusterIP": "None", "selector": {NAME: self.name}, "publishNotReadyAddresses": True}
        meta = {"name": self.name, "ownerReferences": [_owner_reference(self.manifest)]}
        self.client.create(path, {"metadata": meta, "spec": spec})

    def _leaders(self, total: int, partition: int) -> None:
        template = self.template.get("leaderTemplate") or self.template["workerTemplate"]
        labels = {NAME: self.name, MEMBER: "0"}
        self._apply(
            self.name,
            self.manifest,
            {NAME: self.name},
            {
                "replicas": total,
                "serviceName": self.name,
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": labels},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}},
                "template": self._pod(template, {**labels, REVISION: self.revision}),
            },
        )

    def _workers(self, group: _Group) -> None:
        leader = group.leader["metadata"]
        is_current = leader["labels"].get(REVISION) == self.revision
        has_stateful_set = (
            leader["name"] in self.sets
        )  # of this leader, or of a predecessor that still exists
        if self.size == 1 or has_stateful_set or not is_current or leader.get("deletionTimestamp"):
            return
        labels = {NAME: self.name, GROUP: str(group.index), KEY: leader["labels"][KEY]}
        self._apply(
            leader["name"],
            group.leader,
            {**labels, REVISION: self.revision},
            {
                "replicas": self.size - 1,
                "serviceName": self.name,
                "podManagementPolicy": "Parallel",
                "ordinals": {"start": 1},
                "selector": {"matchLabels": labels},
                "template": self._pod(self.template["workerTemplate"], {**labels, REVISION: self.revision}),
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
            "metadata": {"name": name, "labels": labels, "ownerReferences": [_owner_reference(owner)]},
            "spec": spec,
        }
        self.client.apply(f"{self.sets_path}/{name}", body, manager=MANAGER)

    def _restarted(self, group: _Group) -> bool:
        """Return True if a pod of the group ended or restarted. Then delete the leader, and the group with it."""
        leader = group.leader["metadata"]
        if leader.get("deletionTimestamp"):
            return True
        workers = self._own_workers(group)
        uids = {pod["metadata"]["uid"] for pod in workers}
        before = self.controller.seen.get(leader["uid"], set())
        ended = [pod for pod in workers if pod["metadata"].get("deletionTimestamp")]
        restarted = [pod for pod in (group.leader, *group.workers) if _has_restarted(pod)]
        self.controller.seen[leader["uid"]] = before | uids
        policy = self.template.get("restartPolicy", "RecreateGroupOnPodRestart")
        if policy != "RecreateGroupOnPodRestart" or not (ended or restarted or before - uids):
            return False
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}
        try:
            self.client.call("DELETE", f"{self.pods_path}/{leader['name']}", body=options)
        except ApiRefusal as error:
            if error.status != 404:
                raise
        return True

    def _own_workers(self, group: _Group) -> list[Object]:
        """Return the workers of this leader. Workers of an earlier leader may still run; their end is no restart."""
        stateful_set = self.sets.get(group.leader["metadata"]["name"], {}).get("metadata", {})
        owners = [owner["uid"] for owner in stateful_set.get("ownerReferences") or []]
        if group.leader["metadata"]["uid"] not in owners:
            return []
        return [
            pod
            for pod in group.workers
            if any(
                owner["uid"] == stateful_set["uid"] for owner in pod["metadata"].get("ownerReferences") or []
            )
        ]

    def _status(self, is_rolling: bool) -> None:
        wanted_groups = [group for index, group in self.groups.items() if index < self.replicas]
        ready = sum(group.ready for group in wanted_groups)
        updated = sum(group.updated for group in wanted_groups)
        is_available = not is_rolling and ready == updated == self.replicas
        old_status = self.manifest.get("status") or {}
        conditions = {
            "Available": (is_available, "AllGroupsReady", "All replicas are ready"),
            "Progressing": (not is_available, "GroupsProgressing", "Replicas are progressing"),
            "UpdateInProgress": (is_rolling, "GroupsUpdating", "Rolling Upgrade is in progress"),
        }
        status = {
            "replicas": len(self.groups),
            "readyReplicas": ready,
            "updatedReplicas": updated,
            "observedGeneration": self.meta.get("generation", 1),
            "hpaPodSelector": f"{NAME}={self.name},{MEMBER}=0",
            "conditions": [
                _build_condition(old_status, kind, "True" if is_true else "False", reason, message)
                for kind, (is_true, reason, message) in conditions.items()
            ],
        }
        if status != {key: old_status.get(key) for key in status}:
            self.client.call(
                "PATCH",
                f"/apis/{GROUP_VERSION}/namespaces/{self.namespace}/leaderworkersets/{self.name}/status",
                body={"status": status},
                content_type=MERGE_PATCH,
            )


def _build_condition(old_status: Object, kind: str, status: str, reason: str, message: str) -> Object:
    condition = next(
        (condition for condition in old_status.get("conditions") or [] if condition["type"] == kind), None
    )
    if condition is not None and condition["status"] == status:
        return condition
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now}


def _owner_reference(owner: Object) -> Object:
    return {
        "apiVersion": owner.get("apiVersion", "v1"),
        "kind": owner.get("kind", "Pod"),
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return not pod["metadata"].get("deletionTimestamp") and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )


def _has_restarted(pod: Object) -> bool:
    status = pod.get("status", {})
    containers = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    return any(container.get("restartCount", 0) > 0 for container in containers)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]
