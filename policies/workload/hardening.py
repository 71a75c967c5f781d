"""Rules for hardening pods and tasks: no privileges, no root, no host access, read-only root file systems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.trust import Kind
from isthmus.graph.resources.resources import Resource
from policies.inputs import operators as stated_operators
from policies.inputs.class_scope import chart_references, is_trusted_chart
from policies.inputs.documents import containers
from policies.inputs.pods import (
    POD_KINDS,
    Pod,
    container_undecided,
    container_violation,
    is_vllm_container,
    pods,
    security,
    takes_devices,
)
from policies.inputs.selectors import has_containers, pods_where, workloads
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation, fix_with_entry
from policies.workload.node_agents import is_node_agent

TASK = "aws:ecs/taskDefinition:TaskDefinition"
_HARMLESS = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim"} | {
    "projected",
    "secret",
}
"""Volume types that the Pod Security Standard `restricted` allows (`image` since the evaluator of Kubernetes 1.36)."""
_INLINE_DRIVERS = (
    "csi.cert-manager.io",
    "spiffe.csi.cert-manager.io",
    "csi.spiffe.io",
    "secrets-store.csi.k8s.io",
)
"""Drivers of volumes in a pod that show certificates, identities or secrets only."""
_FIX_OF_CHART = (
    "Define the workload's pods in the program, or have the owner of `trust.yaml` review the chart"
)
_VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"
_NO_DEVICES = ("", "none", "void")
_DEVICE_NOTES = ("cdi.k8s.io/", "io.kubernetes.cri-o.", "io.containerd.")
"""Beginnings of annotations by which a runtime gives a pod devices or folders of its node."""
_CLAIMS = "kubernetes:resource.k8s.io/"


def task_containers(subject: Subject) -> Iterator[tuple[Any, dict[str, Any]]]:
    for task in subject.graph.of(TASK):
        for container in containers(task) or []:
            yield task, container


def _check_readable(subject: Subject) -> Iterator[Violation]:
    pods_known = {pod.resource.urn for pod in pods(subject.graph)}
    for resource in subject.graph.resources:
        kind = resource.type
        if kind.startswith("kubernetes:helm.sh/") and kind.endswith(":Release"):
            if stated_operators.is_stated_operator_release(subject, resource):
                continue
            if is_trusted_chart(subject, resource):
                continue
            message = f"{resource.name} is a Helm release, and the graph does not contain what it installs"
            entry: tuple[Kind, str] = ("charts", chart_references(resource)[-1])
            fix = fix_with_entry(_FIX_OF_CHART, entry)
            yield Violation(message, resource, "undecided", entry=entry, fix=fix)
        elif kind.startswith("kubernetes:") and kind.endswith(POD_KINDS) and resource.urn not in pods_known:
            yield Violation(
                f"the pod of {resource.name} is not known before the change is made", resource, "undecided"
            )
        elif kind == TASK and containers(resource) is None:
            message = f"the containers of {resource.name} are not known before the change is made"
            yield Violation(message, resource, "undecided")


def _workload_kinds(subject: Subject) -> Iterator[Resource]:
    for resource in subject.graph.of(*POD_KINDS, TASK, ":Release"):
        if resource.type.startswith(("kubernetes:", "aws:")):
            yield resource


def _check_no_privilege(subject: Subject) -> Iterator[Violation]:
    for pod in pods(subject.graph):
        for container in pod.containers:
            context = container.get("securityContext")
            context = context if isinstance(context, Mapping) else {}
            if context.get("privileged") is True:
                yield container_violation(pod, container, "is privileged", "privileged: false")
            escalation = context.get("allowPrivilegeEscalation")
            if is_unknown(escalation) or is_unknown(context.get("privileged")):
                yield container_undecided(pod, container, "its privileges")
            elif escalation is not False:
                yield container_violation(
                    pod, container, "may gain privileges", "allowPrivilegeEscalation: false"
                )
    for task, container in task_containers(subject):
        if container.get("privileged"):
            yield Violation(f"container {container.get('name')} of {task.name} is privileged", task)


def _check_capabilities(subject: Subject) -> Iterator[Violation]:
    for pod in pods(subject.graph):
        for container in pod.containers:
            capabilities = at(container, "securityContext.capabilities")
            if is_unknown(capabilities):
                yield container_undecided(pod, container, "its capabilities")
                continue
            capabilities = capabilities if isinstance(capabilities, Mapping) else {}
            if "ALL" not in (capabilities.get("drop") or []):
                yield container_violation(
                    pod, container, "does not drop all capabilities", "capabilities: {drop: [ALL]}"
                )
            added = sorted(set(map(str, capabilities.get("add") or [])) - {"NET_BIND_SERVICE"})
            if added:
                yield container_violation(pod, container, f"adds the capabilities {', '.join(added)}")
    for task, container in task_containers(subject):
        capabilities = at(container, "linuxParameters.capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or []) or capabilities.get("add"):
            yield Violation(
                f"container {container.get('name')} of {task.name} does not drop all capabilities", task
            )


def _check_not_root(subject: Subject) -> Iterator[Violation]:
    for pod in pods(subject.graph):
        for container in pod.containers:
            non_root, user = security(pod, container, "runAsNonRoot"), security(pod, container, "runAsUser")
            if is_unknown(non_root) or is_unknown(user):
                yield container_undecided(pod, container, "its user")
            elif user == 0:
                yield container_violation(pod, container, "runs as user 0", "runAsUser: 2000")
            elif non_root is not True:
                yield container_violation(pod, container, "may run as root", "runAsNonRoot: true")
    for task, container in task_containers(subject):
        if str(container.get("user") or "0").partition(":")[0] in ("0", "root"):
            yield Violation(f"container {container.get('name')} of {task.name} runs as root", task)


def _check_no_host(subject: Subject) -> Iterator[Violation]:
    yield from _check_claims(subject)
    for pod in pods(subject.graph):
        name = pod.resource.name
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.spec.get(key):
                verdict = "undecided" if is_unknown(pod.spec[key]) else "violated"
                yield Violation(f"pods of {name} use {key} of their node", pod.resource, verdict)
        for note in pod.annotations:
            if str(note).startswith(_DEVICE_NOTES):
                yield Violation(
                    f"pods of {name} have the annotation {note}: devices of their node", pod.resource
                )
        for volume in pod.spec.get("volumes") or []:
            kinds = sorted(set(volume) - {"name"} - _HARMLESS) if isinstance(volume, Mapping) else ()
            for kind in kinds:
                if kind == "hostPath" and is_node_agent(subject, pod):
                    continue
                yield Violation(
                    f"pods of {name} mount a volume of kind {kind}: {volume.get('name')}", pod.resource
                )
            driver = at(volume, "csi.driver")
            if driver is not None and str(driver) not in _INLINE_DRIVERS:
                yield Violation(
                    f"pods of {name} mount {at(volume, 'name')} by {driver}, and Isthmus does not know whose files "
                    "this driver shows",
                    pod.resource,
                    "undecided",
                )
        for container in pod.containers:
            if any(
                at(variable, "name") == _VISIBLE_DEVICES
                and (at(variable, "valueFrom") or str(at(variable, "value")).lower() not in _NO_DEVICES)
                for variable in list_or_empty(container.get("env"))
            ):
                yield container_violation(pod, container, "sees GPUs of its node that it did not ask for")
            if any(
                isinstance(port, Mapping) and port.get("hostPort") for port in container.get("ports") or []
            ):
                yield container_violation(pod, container, "uses a port of its node")
            if at(security(pod, container, "windowsOptions"), "hostProcess"):
                yield container_violation(pod, container, "runs as a host process of its node")


def _check_claims(subject: Subject) -> Iterator[Violation]:
    """Claims of devices that other pods use."""
    for claim in subject.graph.resources:
        if claim.type.startswith(_CLAIMS) and _has_admin_access(claim.inputs):
            yield Violation(
                f"{claim.name} claims devices with adminAccess, which pods of other namespaces use", claim
            )


def _has_admin_access(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value.get("adminAccess")) or any(map(_has_admin_access, value.values()))
    return isinstance(value, list) and any(map(_has_admin_access, value))


def _check_confined(subject: Subject) -> Iterator[Violation]:
    for pod in pods(subject.graph):
        for container in pod.containers:
            kind = at(security(pod, container, "seccompProfile"), "type")
            if is_unknown(kind):
                yield container_undecided(pod, container, "its seccomp profile")
            elif kind not in ("RuntimeDefault", "Localhost"):
                yield container_violation(
                    pod, container, "has no seccomp profile", "seccompProfile: {type: RuntimeDefault}"
                )
            if at(security(pod, container, "appArmorProfile"), "type") == "Unconfined":
                yield container_violation(pod, container, "is not confined by AppArmor")
            if at(container, "securityContext.procMount") not in (None, "Default"):
                yield container_violation(pod, container, "sees /proc unmasked")


def _check_read_only_root(subject: Subject) -> Iterator[Violation]:
    for pod in pods(subject.graph):
        for container in pod.containers:
            if not container.get("ports"):
                continue
            read_only = at(container, "securityContext.readOnlyRootFilesystem")
            if is_unknown(read_only):
                yield container_undecided(pod, container, "its root file system")
            elif read_only is not True:
                yield container_violation(
                    pod,
                    container,
                    "listens, and its root file system is writable",
                    "readOnlyRootFilesystem: true",
                )
    for task, container in task_containers(subject):
        if container.get("readonlyRootFilesystem") is not True:
            yield Violation(
                f"container {container.get('name')} of {task.name} has a writable root file system", task
            )


def _listens(pod: Pod) -> bool:
    return any(container.get("ports") for container in pod.containers)


def _is_helper(container: Mapping[str, Any]) -> bool:
    """Whether a container is a helper: it has no ports, no devices and no vLLM.

    Containers with ports have their own rule. GPU runtimes write devices into the root file system, and vLLM builds
    kernels there.
    """
    return not (container.get("ports") or takes_devices(container) or is_vllm_container(container))


def _check_helpers_read_only(subject: Subject) -> Iterator[Violation]:
    for pod in pods(subject.graph):
        for container in filter(_is_helper, pod.containers):
            read_only = at(container, "securityContext.readOnlyRootFilesystem")
            if is_unknown(read_only):
                yield container_undecided(pod, container, "its root file system")
            elif read_only is not True:
                yield container_violation(
                    pod, container, "has a writable root file system", "readOnlyRootFilesystem: true"
                )


def _has_helpers(pod: Pod) -> bool:
    return any(map(_is_helper, pod.containers))


def _check_no_exec(subject: Subject) -> Iterator[Violation]:
    for service in subject.graph.of("aws:ecs/service:Service"):
        if service.inputs.get("enableExecuteCommand"):
            yield Violation(f"{service.name} allows opening a shell in its running containers", service)
    for pod in pods(subject.graph):
        if pod.spec.get("shareProcessNamespace"):
            yield Violation(f"containers of {pod.resource.name} can see each other's processes", pod.resource)


def _exec_targets(subject: Subject) -> Iterator[Resource]:
    yield from subject.graph.of("aws:ecs/service:Service")
    yield from (pod.resource for pod in pods(subject.graph))


_POD_TYPES = (*POD_KINDS, TASK)
_cis = fw.cis_kubernetes
RULES = (
    Rule(
        "workload/can-be-read",
        "Every workload can be read before it runs",
        "medium",
        (*fw.nist("CM-2"),),
        "Nothing checks what the graph does not contain",
        _FIX_OF_CHART,
        _check_readable,
        applies_to=_workload_kinds,
    ),
    Rule(
        "workload/no-privilege",
        "No container is privileged or can become so",
        "critical",
        (*_cis("5.2.2", "5.2.6"), *fw.nist("AC-6"), *fw.iso_27001("A.8.9")),
        "A privileged container controls its node, with every class's pods and GPUs on it",
        "Set allowPrivilegeEscalation: false and remove privileged",
        _check_no_privilege,
        _POD_TYPES,
        applies_to=pods_where(has_containers, tasks=True),
    ),
    Rule(
        "workload/no-capability",
        "Containers drop all Linux capabilities",
        "high",
        _cis("5.2.8", "5.2.9", "5.2.10"),
        "Each capability that is left gives an attacker a part of root's power",
        "Set capabilities: {drop: [ALL]} and add none",
        _check_capabilities,
        _POD_TYPES,
        applies_to=pods_where(has_containers, tasks=True),
    ),
    Rule(
        "workload/not-root",
        "No container runs as root",
        "high",
        (*_cis("5.2.7"), *fw.nist("AC-6(10)"), *fw.iso_27001("A.8.9")),
        "Root in a container is one kernel bug away from root on its node",
        "Set runAsNonRoot: true and a runAsUser above 0",
        _check_not_root,
        _POD_TYPES,
        applies_to=pods_where(has_containers, tasks=True),
    ),
    Rule(
        "workload/no-host",
        "Pods use no host network, processes, ports, paths or devices",
        "critical",
        (*_cis("5.2.3", "5.2.4", "5.2.5", "5.2.11", "5.2.12", "5.2.13"), *fw.iso_27001("A.8.9")),
        "On the node's network no network policy applies, and host paths expose the data of other pods",
        "Remove the host's network, processes, ports and paths; use claims for data",
        _check_no_host,
        POD_KINDS,
        applies_to=workloads,
    ),
    Rule(
        "workload/confined",
        "Containers run under a seccomp profile",
        "medium",
        _cis("5.7.2"),
        "Without a profile a container can use every system call of the kernel",
        "Set seccompProfile: {type: RuntimeDefault} on the pod",
        _check_confined,
        POD_KINDS,
        applies_to=pods_where(has_containers),
    ),
    Rule(
        "workload/read-only-root",
        "Servers cannot change their own program",
        "medium",
        (*fw.fsbp("ECS.5"), *fw.nist("CM-7")),
        "An intruder who can write the root file system can stay after the request",
        "Set readOnlyRootFilesystem: true and mount an emptyDir where it writes",
        _check_read_only_root,
        _POD_TYPES,
        applies_to=pods_where(_listens, tasks=True),
    ),
    Rule(
        "workload/helpers-read-only",
        "Helper and one-time containers cannot change their own program",
        "medium",
        fw.nist("CM-7", "CM-5"),
        "Helpers hold certificates or weights, and nobody notices a program that is written into one",
        "Set readOnlyRootFilesystem: true and mount an emptyDir where it writes",
        _check_helpers_read_only,
        POD_KINDS,
        applies_to=pods_where(_has_helpers),
    ),
    Rule(
        "workload/nobody-steps-in",
        "Nobody can open a shell in a running container",
        "medium",
        (*fw.nist("AC-17"),),
        "A shell next to a translator can read prompts without any review",
        "Set enableExecuteCommand to false; for emergencies use emergency access",
        _check_no_exec,
        ("aws:ecs/service:Service",),
        applies_to=_exec_targets,
    ),
)
