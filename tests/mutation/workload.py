"""Faults in the hardening of pods and tasks, and in their images and secrets."""

from __future__ import annotations

from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.parts import BOXES, PODS, TASKS, WORKLOADS
from tests.broken_graphs.resources import beside
from tests.mutation.shapes import Context, Family

FAMILY = Family("workload")
DEFINITION = "aws:ecs/taskDefinition:TaskDefinition"
ENFORCE = "pod-security.kubernetes.io/enforce"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


@FAMILY.changes(*WORKLOADS, lens=BOXES)
def privileged_container(container: Any, context: Context) -> None:
    """A container is privileged."""
    container["securityContext"].update(privileged=True, allowPrivilegeEscalation=True)


@FAMILY.changes(*WORKLOADS, lens=BOXES)
def container_that_may_gain_rights(container: Any, context: Context) -> None:
    """A container's processes may gain more rights than their parent has."""
    container["securityContext"]["allowPrivilegeEscalation"] = True


@FAMILY.changes(*WORKLOADS, lens=BOXES)
def container_with_more_capabilities(container: Any, context: Context) -> None:
    """A container may administer the network and load what it likes."""
    container["securityContext"]["capabilities"] = {"add": ["NET_ADMIN", "SYS_ADMIN"]}


@FAMILY.changes(
    *WORKLOADS, lens=BOXES, where=lambda container, _: "capabilities" in container["securityContext"]
)
def container_that_keeps_its_capabilities(container: Any, context: Context) -> None:
    """A container drops none of the capabilities that it is started with."""
    del container["securityContext"]["capabilities"]


@FAMILY.changes(
    *WORKLOADS,
    lens=BOXES,
    where=lambda container, _: container["securityContext"].get("readOnlyRootFilesystem"),
)
def container_that_writes_to_its_root(container: Any, context: Context) -> None:
    """A container may write to its root file system."""
    container["securityContext"]["readOnlyRootFilesystem"] = False


@FAMILY.changes(*WORKLOADS, lens=PODS)
def pod_without_seccomp(pod: Any, context: Context) -> None:
    """A pod's system calls are not filtered."""
    spec = pod["spec"]
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        container["securityContext"].pop("seccompProfile", None)
    spec["securityContext"]["seccompProfile"] = {"type": "Unconfined"}


@FAMILY.changes(*WORKLOADS, lens=PODS)
def pod_that_sees_its_node(pod: Any, context: Context) -> None:
    """A pod sees every process of its node."""
    pod["spec"]["hostPID"] = True


@FAMILY.changes(*WORKLOADS, lens=BOXES, where=lambda container, _: container.get("ports"))
def container_at_a_port_of_its_node(container: Any, context: Context) -> None:
    """A container's port is opened on the node itself."""
    container["ports"][0]["hostPort"] = container["ports"][0]["containerPort"]


@FAMILY.changes(*WORKLOADS, lens=PODS, also=["identity"])
def pod_with_a_token_of_the_cluster(pod: Any, context: Context) -> None:
    """The token of a pod's service account is mounted into it."""
    pod["spec"]["automountServiceAccountToken"] = True


@FAMILY.changes(*WORKLOADS, lens=BOXES)
def secret_in_a_variable(container: Any, context: Context) -> None:
    """A token stands in the environment of a container."""
    container["env"] = [
        *container.get("env", []),
        {"name": "HF_TOKEN", "value": "hf_qVwXyZaBcDeFgHiJkLmNoPqRsTuVwXyZab"},
    ]


@FAMILY.changes(*WORKLOADS, lens=BOXES)
def variable_from_a_secret(container: Any, context: Context) -> None:
    """A Secret is put into a container's environment, where every child process and dump has it."""
    source = {"secretKeyRef": {"name": "hub", "key": "token"}}
    container["env"] = [*container.get("env", []), {"name": "HF_TOKEN", "valueFrom": source}]


@FAMILY.changes(*WORKLOADS, lens=BOXES)
def environment_from_a_secret(container: Any, context: Context) -> None:
    """Whatever a Secret holds becomes a container's environment."""
    container["envFrom"] = [{"secretRef": {"name": "settings"}}]


@FAMILY.changes(*WORKLOADS, lens=BOXES, also=["cost", "reliability"])
def container_without_limits(container: Any, context: Context) -> None:
    """A container, but for its GPUs, may take what its machine has."""
    for key, amounts in container["resources"].items():
        container["resources"][key] = {name: value for name, value in amounts.items() if "/" in name}


@FAMILY.changes(
    *WORKLOADS,
    lens=BOXES,
    where=lambda container, _: "@sha256:" in container["image"],
    also=["release", "data-path"],
)
def image_of_a_registry_elsewhere(container: Any, context: Context) -> None:
    """A container's image comes from a public registry, by its digest."""
    container["image"] = f"docker.io/someone/{container['image'].rpartition('/')[2]}"


@FAMILY.changes(*WORKLOADS, lens=PODS, also=["release"])
def volume_from_an_image_by_a_tag(pod: Any, context: Context) -> None:
    """A pod mounts an image of a registry of ours as a volume, by a tag, which can be moved."""
    image = pod["spec"]["containers"][0]["image"].partition("@")[0]
    more = {"name": "more", "image": {"reference": f"{image}:latest"}}
    pod["spec"]["volumes"] = [*pod["spec"].get("volumes", []), more]


@FAMILY.changes(":Namespace", where=lambda inputs, _: ENFORCE in (inputs["metadata"].get("labels") or {}))
def namespace_that_admits_privileged_pods(inputs: Any, context: Context) -> None:
    """A namespace's Pod Security Standard is `privileged`."""
    inputs["metadata"]["labels"][ENFORCE] = "privileged"


@FAMILY.changes(":Namespace", where=lambda inputs, _: ENFORCE in (inputs["metadata"].get("labels") or {}))
def namespace_that_only_warns(inputs: Any, context: Context) -> None:
    """A namespace warns of a pod that its standard forbids, and admits it."""
    del inputs["metadata"]["labels"][ENFORCE]


@FAMILY.drops(":LimitRange", also=["cost"])
def namespace_without_default_limits(inputs: Any, context: Context) -> None:
    """The limits of containers that state none are left out of a namespace."""


@FAMILY.changes(DEFINITION, lens=TASKS)
def task_as_root(container: Any, context: Context) -> None:
    """A container of a gateway's task runs as root."""
    container["user"] = "0"


@FAMILY.changes(DEFINITION, lens=TASKS)
def task_that_writes_to_its_root(container: Any, context: Context) -> None:
    """A container of a gateway's task may write to its root file system."""
    container["readonlyRootFilesystem"] = False


@FAMILY.changes(DEFINITION, lens=TASKS, also=["release"])
def task_by_a_tag(container: Any, context: Context) -> None:
    """The image of a gateway's task is named by a tag, which can be moved."""
    container["image"] = f"{container['image'].partition('@')[0]}:stable"


@FAMILY.changes(DEFINITION, lens=TASKS, also=["identity"])
def secret_in_a_task(container: Any, context: Context) -> None:
    """A password stands in the environment of a gateway's task."""
    container["environment"] = [
        *container.get("environment", []),
        {"name": "DB_PASSWORD", "value": "correct-horse-battery"},
    ]


@FAMILY.changes(TEMPLATE, where=lambda inputs, _: "metadataOptions" in inputs, also=["identity"])
def machine_that_hands_its_role_to_pods(inputs: Any, context: Context) -> None:
    """Pods get the machine's own AWS role from its metadata service, asked for without a token."""
    inputs["metadataOptions"].update(httpTokens="optional", httpPutResponseHopLimit=2)


@FAMILY.adds(":Namespace", where=lambda _, context: context.class_ not in ("", "public"), also=["data-path"])
def agent_on_every_node(inputs: Any, context: Context) -> list[Resource]:
    """A privileged agent of a vendor's runs on every node, from a class's namespace."""
    namespace = inputs["metadata"]["name"]
    labels = {"app.kubernetes.io/name": "node-agent"}
    container = {
        "name": "agent",
        "image": "docker.io/vendor/agent:7",
        "securityContext": {"privileged": True},
        "volumeMounts": [{"name": "root", "mountPath": "/host"}],
    }
    pod = {
        "metadata": {"labels": labels},
        "spec": {
            "containers": [container],
            "hostNetwork": True,
            "volumes": [{"name": "root", "hostPath": {"path": "/"}}],
        },
    }
    more = {
        "metadata": {"name": "node-agent", "namespace": namespace, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": pod},
    }
    return [beside(context.resource, "kubernetes:apps/v1:DaemonSet", f"{namespace}-node-agent", more)]
