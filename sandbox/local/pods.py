"""Reads from a sandbox's cluster what the pods of a stack run: programs, files, secrets, volumes and Services.

One copy of each Deployment counts. Pods of a resolver are left out, because names are replaced by addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.contracts.reference import sign_on_proxy
from isthmus.core.kubernetes_client import KubeClient

ROLES = (
    *("gateway", "translator", "sealer", "loader", "reviews", "notifier", "model", "chat"),
    *sign_on_proxy.ROLES,
)
"""Values of the label `isthmus.dev/role` whose pods run here."""
PART_OF, ROLE, CLASS, NAME = (
    "app.kubernetes.io/part-of",
    "isthmus.dev/role",
    "isthmus.dev/class",
    "app.kubernetes.io/name",
)


@dataclass(frozen=True)
class Volume:
    """A volume of a pod."""

    kind: str
    """`files` (ConfigMap), `secret`, `claim` or `empty`."""
    source: str = ""
    """Name of the ConfigMap, the Secret or the claim."""


@dataclass(frozen=True)
class Mount:
    """Where a program sees a volume."""

    path: str
    volume: str
    folder: str = ""
    """Folder of the volume (`subPath`)."""


@dataclass(frozen=True)
class Program:
    """A container of a pod."""

    name: str
    command: tuple[str, ...]
    mounts: tuple[Mount, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Its variables with values."""
    variables: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Variables whose content the edge takes as a file (`env:NAME`): volume and name of the file here."""


@dataclass(frozen=True)
class Pod:
    """The pod that a Deployment makes."""

    site: str
    namespace: str
    name: str
    role: str
    data_class: str
    programs: tuple[Program, ...]
    volumes: Mapping[str, Volume]
    identity: str = "a certificate of Roles Anywhere"
    """By what it is known to AWS, if it calls AWS."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of the pod; none of a task on Fargate."""

    @property
    def label(self) -> str:
        """`NAMESPACE/NAME`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Objects:
    """What one cluster has of a stack, or one gateway on Fargate."""

    pods: Sequence[Pod]
    files: Mapping[tuple[str, str], Mapping[str, str]]
    """Content of ConfigMaps by namespace and name."""
    services: Mapping[str, str]
    """`NAME.NAMESPACE.svc`, or `HOST:PORT` of a load balancer → `NAMESPACE/NAME` of the pod that it leads to."""
    certificates: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    """DNS names by namespace and Secret."""
    shares: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Folder of the volume by namespace and claim."""


def read_objects(client: KubeClient, site: str) -> Objects:
    """Read all objects of the cluster. Raises `EnvironmentFault` if the cluster does not answer."""
    volumes = {
        volume["metadata"]["name"]: str(volume["spec"].get("hostPath", {}).get("path") or "")
        for volume in client.items("/api/v1/persistentvolumes")
    }
    return Objects(
        pods=list(_pods(client, site)),
        files={
            (item["metadata"]["namespace"], item["metadata"]["name"]): dict(item.get("data") or {})
            for item in client.items("/api/v1/configmaps")
        },
        services={
            f"{item['metadata']['name']}.{item['metadata']['namespace']}.svc": f"{item['metadata']['namespace']}/{name}"
            for item in client.items("/api/v1/services")
            if (name := (item["spec"].get("selector") or {}).get(NAME))
        },
        certificates={
            (item["metadata"]["namespace"], item["spec"]["secretName"]): tuple(item["spec"]["dnsNames"])
            for item in client.items("/apis/cert-manager.io/v1/certificates")
        },
        shares={
            (item["metadata"]["namespace"], item["metadata"]["name"]): folder
            for item in client.items("/api/v1/persistentvolumeclaims")
            if (folder := volumes.get(str(item["spec"].get("volumeName")), ""))
        },
    )


def _pods(client: KubeClient, site: str) -> Iterator[Pod]:
    for deployment in client.items("/apis/apps/v1/deployments"):
        template = deployment["spec"]["template"]
        labels = template["metadata"].get("labels") or {}
        if labels.get(PART_OF) != "isthmus" or labels.get(ROLE) not in ROLES:
            continue
        spec = template["spec"]
        containers = [*(spec.get("initContainers") or []), *spec["containers"]]
        yield Pod(
            site=site,
            namespace=deployment["metadata"]["namespace"],
            name=labels[NAME],
            role=labels[ROLE],
            data_class=labels[CLASS],
            programs=tuple(_program(container) for container in containers),
            volumes={volume["name"]: _volume(volume) for volume in spec.get("volumes") or []},
            labels=labels,
        )


def _program(container: Mapping[str, Any]) -> Program:
    return Program(
        name=container["name"],
        command=(*(container.get("command") or ()), *(container.get("args") or ())),
        mounts=tuple(
            Mount(mount["mountPath"], mount["name"], mount.get("subPath") or "")
            for mount in container.get("volumeMounts") or []
        ),
        environment={
            variable["name"]: str(variable["value"])
            for variable in container.get("env") or []
            if "value" in variable
        },
    )


def _volume(volume: Mapping[str, Any]) -> Volume:
    if "configMap" in volume:
        return Volume("files", volume["configMap"]["name"])
    if "secret" in volume:
        return Volume("secret", volume["secret"]["secretName"])
    if "persistentVolumeClaim" in volume:
        return Volume("claim", volume["persistentVolumeClaim"]["claimName"])
    return Volume("empty")
