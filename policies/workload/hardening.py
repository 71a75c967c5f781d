"""Workload hardening: pods and tasks that can do no more than serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from policies.inputs import operators as stated_operators
from policies.inputs.documents import containers
from policies.inputs.pods import KINDS, is_engine, not_known, of_box, pods, security, takes_devices
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

TASK = "aws:ecs/taskDefinition:TaskDefinition"
_HARMLESS = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim"} | {
    "projected",
    "secret",
}
"""Volumes that the Pod Security Standard `restricted` lets in; `image` too, by the evaluator of Kubernetes 1.36."""


def tasks(subject: Subject) -> Iterator[tuple[Any, dict[str, Any]]]:
    for task in subject.graph.of(TASK):
        for box in containers(task) or []:
            yield task, box


def _can_be_read(subject: Subject) -> Iterator[Broken]:
    known = {pod.resource.urn for pod in pods(subject.graph)}
    for resource in subject.graph.resources:
        kind = resource.type
        if kind.startswith("kubernetes:helm.sh/") and kind.endswith(":Release"):
            if stated_operators.stated(subject, resource):
                continue
            message = f"{resource.name} is a Helm release: what it installs is not in the graph"
            yield Broken(message, resource, "undecided")
        elif kind.startswith("kubernetes:") and kind.endswith(KINDS) and resource.urn not in known:
            yield Broken(f"the pod of {resource.name} is not known before the change", resource, "undecided")
        elif kind == TASK and containers(resource) is None:
            message = f"the containers of {resource.name} are not known before the change is made"
            yield Broken(message, resource, "undecided")


def _no_privilege(subject: Subject) -> Iterator[Broken]:
    for pod in pods(subject.graph):
        for box in pod.boxes:
            context = box.get("securityContext")
            context = context if isinstance(context, Mapping) else {}
            if context.get("privileged") is True:
                yield of_box(pod, box, "is privileged", "privileged: false")
            escalation = context.get("allowPrivilegeEscalation")
            if unknown(escalation) or unknown(context.get("privileged")):
                yield not_known(pod, box, "its privileges")
            elif escalation is not False:
                yield of_box(pod, box, "may gain privileges", "allowPrivilegeEscalation: false")
    for task, box in tasks(subject):
        if box.get("privileged"):
            yield Broken(f"container {box.get('name')} of {task.name} is privileged", task)


def _no_capability(subject: Subject) -> Iterator[Broken]:
    for pod in pods(subject.graph):
        for box in pod.boxes:
            said = at(box, "securityContext.capabilities")
            if unknown(said):
                yield not_known(pod, box, "its capabilities")
                continue
            said = said if isinstance(said, Mapping) else {}
            if "ALL" not in (said.get("drop") or []):
                yield of_box(pod, box, "keeps capabilities of root", "capabilities: {drop: [ALL]}")
            added = sorted(set(map(str, said.get("add") or [])) - {"NET_BIND_SERVICE"})
            if added:
                yield of_box(pod, box, f"is given {', '.join(added)}")
    for task, box in tasks(subject):
        said = at(box, "linuxParameters.capabilities") or {}
        if "ALL" not in (said.get("drop") or []) or said.get("add"):
            yield Broken(f"container {box.get('name')} of {task.name} keeps capabilities", task)


def _not_root(subject: Subject) -> Iterator[Broken]:
    for pod in pods(subject.graph):
        for box in pod.boxes:
            non_root, user = security(pod, box, "runAsNonRoot"), security(pod, box, "runAsUser")
            if unknown(non_root) or unknown(user):
                yield not_known(pod, box, "its user")
            elif user == 0:
                yield of_box(pod, box, "runs as user 0", "runAsUser: 2000")
            elif non_root is not True:
                yield of_box(pod, box, "may run as root", "runAsNonRoot: true")
    for task, box in tasks(subject):
        if str(box.get("user") or "0").partition(":")[0] in ("0", "root"):
            yield Broken(f"container {box.get('name')} of {task.name} runs as root", task)


def _no_host(subject: Subject) -> Iterator[Broken]:
    for pod in pods(subject.graph):
        name = pod.resource.name
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.spec.get(key):
                said = "undecided" if unknown(pod.spec[key]) else "violated"
                yield Broken(f"pods of {name} share {key} with their node", pod.resource, said)
        for volume in pod.spec.get("volumes") or []:
            for kind in sorted(set(volume) - {"name"} - _HARMLESS) if isinstance(volume, Mapping) else ():
                yield Broken(
                    f"pods of {name} mount a volume of kind {kind}: {volume.get('name')}", pod.resource
                )
        for box in pod.boxes:
            if any(isinstance(port, Mapping) and port.get("hostPort") for port in box.get("ports") or []):
                yield of_box(pod, box, "takes a port of its node")
            if at(security(pod, box, "windowsOptions"), "hostProcess"):
                yield of_box(pod, box, "is a process of its node")


def _confined(subject: Subject) -> Iterator[Broken]:
    for pod in pods(subject.graph):
        for box in pod.boxes:
            kind = at(security(pod, box, "seccompProfile"), "type")
            if unknown(kind):
                yield not_known(pod, box, "its seccomp profile")
            elif kind not in ("RuntimeDefault", "Localhost"):
                yield of_box(pod, box, "has no seccomp profile", "seccompProfile: {type: RuntimeDefault}")
            if at(security(pod, box, "appArmorProfile"), "type") == "Unconfined":
                yield of_box(pod, box, "is not confined by AppArmor")
            if at(box, "securityContext.procMount") not in (None, "Default"):
                yield of_box(pod, box, "sees /proc unmasked")


def _read_only(subject: Subject) -> Iterator[Broken]:
    for pod in pods(subject.graph):
        for box in pod.boxes:
            if not box.get("ports"):
                continue
            said = at(box, "securityContext.readOnlyRootFilesystem")
            if unknown(said):
                yield not_known(pod, box, "its root file system")
            elif said is not True:
                yield of_box(
                    pod, box, "listens, and can write its own program", "readOnlyRootFilesystem: true"
                )
    for task, box in tasks(subject):
        if box.get("readonlyRootFilesystem") is not True:
            yield Broken(f"container {box.get('name')} of {task.name} can write its own program", task)


def helps(box: Mapping[str, Any]) -> bool:
    """What listens has a rule of its own; a runtime writes its devices into the root of what takes a GPU, and an
    engine builds its kernels where it stands."""
    return not (box.get("ports") or takes_devices(box) or is_engine(box))


def _helpers_read_only(subject: Subject) -> Iterator[Broken]:
    for pod in pods(subject.graph):
        for box in filter(helps, pod.boxes):
            said = at(box, "securityContext.readOnlyRootFilesystem")
            if unknown(said):
                yield not_known(pod, box, "its root file system")
            elif said is not True:
                yield of_box(pod, box, "can write its own program", "readOnlyRootFilesystem: true")


def _nobody_steps_in(subject: Subject) -> Iterator[Broken]:
    for service in subject.graph.of("aws:ecs/service:Service"):
        if service.inputs.get("enableExecuteCommand"):
            yield Broken(f"{service.name} lets people into its running containers", service)
    for pod in pods(subject.graph):
        if pod.spec.get("shareProcessNamespace"):
            yield Broken(f"containers of {pod.resource.name} see each other's processes", pod.resource)


_PODS = (*KINDS, TASK)
_cis = fw.cis_kubernetes
RULES = (
    Rule(
        "workload/can-be-read",
        "Every workload can be read before it runs",
        "medium",
        (*fw.nist("CM-2"),),
        "What the graph does not hold is judged by nobody",
        "Write the workload's pods out, or judge the chart by its own rendering and silence it here",
        _can_be_read,
    ),
    Rule(
        "workload/no-privilege",
        "No container is privileged or may become so",
        "critical",
        (*_cis("5.2.2", "5.2.6"), *fw.nist("AC-6"), *fw.iso_27001("A.8.9")),
        "A privileged container is its node, and every class's pods and GPUs there with it",
        "Set allowPrivilegeEscalation: false and take privileged away",
        _no_privilege,
        _PODS,
    ),
    Rule(
        "workload/no-capability",
        "Containers drop every capability of root",
        "high",
        _cis("5.2.8", "5.2.9", "5.2.10"),
        "A capability left is a part of root that an attacker need not win",
        "Set capabilities: {drop: [ALL]} and add none",
        _no_capability,
        _PODS,
    ),
    Rule(
        "workload/not-root",
        "No container runs as root",
        "high",
        (*_cis("5.2.7"), *fw.nist("AC-6(10)"), *fw.iso_27001("A.8.9")),
        "Root in a container is one kernel fault away from root on its node",
        "Set runAsNonRoot: true and a runAsUser above 0",
        _not_root,
        _PODS,
    ),
    Rule(
        "workload/no-host",
        "Pods keep to themselves: no host network, processes, ports, paths or devices",
        "critical",
        (*_cis("5.2.3", "5.2.4", "5.2.5", "5.2.11", "5.2.12", "5.2.13"), *fw.iso_27001("A.8.9")),
        "On its node's network no network policy holds a pod, and a node's path is every pod's data",
        "Take the host's network, processes, ports and paths away; use claims for data",
        _no_host,
        KINDS,
    ),
    Rule(
        "workload/confined",
        "Containers run under a seccomp profile, confined",
        "medium",
        _cis("5.7.2"),
        "Without one every system call of the kernel's is open to the container",
        "Set seccompProfile: {type: RuntimeDefault} on the pod",
        _confined,
        KINDS,
    ),
    Rule(
        "workload/read-only-root",
        "What listens cannot change its own program",
        "medium",
        (*fw.fsbp("ECS.5"), *fw.nist("CM-7")),
        "An intruder who can write the root file system stays after the request that let him in",
        "Set readOnlyRootFilesystem: true and mount an emptyDir where it writes",
        _read_only,
        _PODS,
    ),
    Rule(
        "workload/helpers-read-only",
        "What helps beside a server, or runs once, cannot change its own program",
        "medium",
        fw.nist("CM-7", "CM-5"),
        "A helper holds certificates or weights, and a program written into it is found by nobody",
        "Set readOnlyRootFilesystem: true and mount an emptyDir where it writes",
        _helpers_read_only,
        KINDS,
    ),
    Rule(
        "workload/nobody-steps-in",
        "Nobody steps into a running container",
        "medium",
        (*fw.nist("AC-17"),),
        "A shell beside a translator reads prompts, and no review saw it open",
        "Set enableExecuteCommand to false; emergency access has a way of its own",
        _nobody_steps_in,
        ("aws:ecs/service:Service",),
    ),
)
