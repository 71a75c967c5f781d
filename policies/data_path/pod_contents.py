"""Rule for what a class's own pods and tasks contain: only fields, containers, commands and volumes of Isthmus.

A program can change a gateway or a model server after Isthmus has made it, and the pod keeps its name and account.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.platform.lookups.evaluator import COMMAND
from isthmus.contracts.reference import open_webui, sign_on_proxy
from isthmus.core.ip_addresses import is_within
from isthmus.graph.resources.resources import Resource, name_and_namespace
from policies.data_path.task_contents import own_tasks, problems_of_task
from policies.inputs.own_workloads import is_own, pods_in_classes
from policies.inputs.pods import Pod
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_EDGE = (("python", "-m", "edge", "--config", "/etc/isthmus/config/config.yaml"),)
_CONTAINERS: dict[str, dict[str, tuple[tuple[str, ...], ...]]] = {
    "gateway": {"edge": _EDGE, "detector": _EDGE},
    "translator": {"translator": _EDGE, "aws-identity": (("aws_signing_helper", "serve"),)},
    "resolver": {"resolver": ((),)},
    "reviews": {"reviews": _EDGE},
    "notifier": {"notifier": _EDGE},
    "loader": {"loader": _EDGE},
    "evaluator": {"evaluator": (COMMAND,)},
    "chat": {"proxy": _EDGE, "chat": (open_webui.START, ())},
    **{role: {"sign-on": ((),)} for role in sign_on_proxy.ROLES},
    "sealer": {"sealer": _EDGE},
    "model": {
        "vllm": (("vllm", "serve"),),
        "edge": _EDGE,
        "verify-weights": (("python", "-m", "edge.weights", "verify"),),
    },
    "fetch": {"fetch": (("python", "-m", "edge.fetch"),), "stay": (("python", "-m", "edge.stay"),)},
}
"""Role → container → how its command begins. No other container is in a class's own pods."""
_VARIABLES: dict[str, frozenset[str]] = {
    "vllm": frozenset(
        {
            "DG_JIT_CACHE_DIR",
            "DO_NOT_TRACK",
            "FLASHINFER_WORKSPACE_BASE",
            "GROUP",
            "HF_DATASETS_OFFLINE",
            "HF_HOME",
        }
        | {"HF_HUB_OFFLINE", "HOME", "LEADER", "MEMBER", "TORCHINDUCTOR_CACHE_DIR", "TRANSFORMERS_OFFLINE"}
        | {"TRITON_CACHE_DIR", "VLLM_CACHE_ROOT", "VLLM_CONFIG_ROOT", "VLLM_HOST_IP", "VLLM_NO_USAGE_STATS"}
        | {"OMP_NUM_THREADS", "TZ", "XDG_CACHE_HOME"}
    ),
    "detector": frozenset({"TMPDIR"}),
    "translator": frozenset(
        {"AWS_CONFIG_FILE", "AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT"}
        | {"AWS_SHARED_CREDENTIALS_FILE"}
    ),
    # Their values are judged by `data-path/chats`.
    "chat": frozenset(open_webui.variables()),
    "sign-on": frozenset({"SSL_CERT_FILE"}),
    "aws-identity": frozenset({"HTTPS_PROXY", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE"}),
}
"""Container → its environment variables. Any other may load code, or name a host that gets the data."""
_LOG_LEVEL, _QUIET_LEVELS = "VLLM_LOGGING_LEVEL", ("INFO", "WARNING", "ERROR", "CRITICAL")
"""vLLM's variable, and its levels that write no prompts."""
_POD_FIELDS = frozenset(
    {"affinity", "automountServiceAccountToken", "containers", "dnsConfig", "dnsPolicy", "enableServiceLinks"}
    | {
        "hostAliases",
        "imagePullSecrets",
        "initContainers",
        "nodeSelector",
        "priorityClassName",
        "resourceClaims",
    }
    | {"restartPolicy", "securityContext", "serviceAccount", "serviceAccountName", "tolerations", "volumes"}
    | {
        "terminationGracePeriodSeconds",
        "topologySpreadConstraints",
        "activeDeadlineSeconds",
        "setHostnameAsFQDN",
    }
    | {
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "shareProcessNamespace",
        "ephemeralContainers",
        "preemptionPolicy",
    }
)
"""Fields of a pod that Isthmus sets, or that other rules judge."""
_CONTAINER_FIELDS = frozenset(
    {
        "args",
        "command",
        "env",
        "envFrom",
        "image",
        "imagePullPolicy",
        "lifecycle",
        "livenessProbe",
        "name",
        "ports",
    }
    | {"readinessProbe", "resizePolicy", "resources", "restartPolicy", "securityContext", "startupProbe"}
    | {"volumeMounts"}
)
_METADATA = (
    *("isthmus.dev/", "kueue.x-k8s.io/", "app.kubernetes.io/", "leaderworkerset.sigs.k8s.io/"),
    *(
        "kubectl.kubernetes.io/restartedAt",
        "pulumi.com/",
        "cluster-autoscaler.kubernetes.io/",
        "prometheus.io/",
    ),
)
"""Beginnings of labels and annotations that make no program change the pod."""
_NETWORKS = "k8s.v1.cni.cncf.io/networks"
_VOLUMES = frozenset({"configMap", "emptyDir", "image", "persistentVolumeClaim", "secret"})
_ADDRESS = re.compile(r"[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]+")
_INJECTS = re.compile(r"istio|linkerd|inject|cni|calico|cilium|opentelemetry|workload\.identity|mutat")
"""Labels and annotations by which programs of a cluster are known to change a pod."""
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_ASKS_LOOPBACK = (
    "import http.client; c = http.client.HTTPConnection('127.0.0.1', ",
    "import os, socket; socket.create_connection((os.environ['LEADER'], ",
)
"""How the programs begin by which a model server's probes ask it, or the leader of its group."""


def _own_pods(subject: Subject) -> Iterator[tuple[Pod, str]]:
    for pod, class_ in pods_in_classes(subject):
        if not pod.resource.type.endswith("Patch") and is_own(subject, pod, class_):
            yield pod, class_


def _check(subject: Subject) -> Iterator[Violation]:
    for pod, class_ in _own_pods(subject):
        name, namespace = name_and_namespace(pod.resource)
        where = f"pods of {name} in {namespace}"
        for problem in _problems(subject, pod, class_):
            yield Violation(
                f"{where} {problem}; Isthmus makes no such pod, and does not know where its {class_} data goes",
                pod.resource,
                "undecided",
            )
    for task, class_ in own_tasks(subject):
        for problem in problems_of_task(subject, task):
            yield Violation(
                f"task {task.name} {problem}; Isthmus makes no such task, and does not know where its {class_} data"
                " goes",
                task,
                "undecided",
            )


def _problems(subject: Subject, pod: Pod, class_: str) -> Iterator[str]:
    yield from (f"state `{field}`" for field in sorted(set(pod.spec) - _POD_FIELDS))
    for kind, entries in (("label", pod.labels), ("annotation", pod.annotations)):
        for key, value in entries.items():
            is_inert = not _INJECTS.search(str(key))
            if not is_inert and not _is_known_metadata(subject, class_, str(key), value):
                yield f"have the {kind} {key}, which may make a program of the cluster change them"
    for volume in list_or_empty(pod.spec.get("volumes")):
        yield from _problems_of_volume(pod, volume)
    for alias in list_or_empty(pod.spec.get("hostAliases")):
        yield from _problems_of_alias(subject, alias)
    known = _CONTAINERS.get(pod.role)
    for container in pod.containers:
        if known is None or str(container.get("name")) not in known:
            yield f"run the container {container.get('name')}"
        else:
            yield from _problems_of_container(subject, container, known[str(container.get("name"))])


def _is_known_metadata(subject: Subject, class_: str, key: str, value: Any) -> bool:
    if key.startswith(_METADATA) or subject.trusts("managers", key):
        return True
    if key != _NETWORKS:
        return False
    pools = subject.platform.pools if subject.platform else []
    stated = {
        network.network
        for pool in pools
        for rdma in [getattr(getattr(pool, "fabric", None), "rdma", None)]
        if rdma is not None
        for network in rdma.networks
        if network.class_ == class_
    }
    return str(value) in stated


def _problems_of_volume(pod: Pod, volume: Any) -> Iterator[str]:
    if is_unknown(volume) or not isinstance(volume, Mapping):
        yield "mount a volume that is not known before the change"
        return
    kinds = set(volume) - {"name"} - _VOLUMES
    if pod.role == "fetch":
        kinds -= {"hostPath"}  # `workload/no-host` judges the folder
    for kind in sorted(kinds):
        yield f"mount {volume.get('name')}, a volume of kind {kind}"


def _problems_of_alias(subject: Subject, alias: Any) -> Iterator[str]:
    """Addresses of hosts that the platform does not state. Those of Services are references."""
    address, names = str(at(alias, "ip")), list(map(str, list_or_empty(at(alias, "hostnames"))))
    platform = subject.platform
    if platform is None or subject.graph.referred(address, "core/v1:Service"):
        return
    if not _ADDRESS.fullmatch(address):  # a Service's, which the engine knows by another name
        return
    # Endpoints in AWS have addresses of the network's subnets.
    networks = [network.cidr for network in platform.networks if network.cidr]
    if is_within(address, networks):
        return
    is_endpoint = all(name.endswith(".amazonaws.com") for name in names) and is_within(address, networks)
    if not is_endpoint and address not in _ADDRESS.findall(str(platform)):
        yield f"take {address} for {', '.join(names)}, which the platform does not state"


def _problems_of_container(
    subject: Subject, container: Mapping[str, Any], commands: tuple[tuple[str, ...], ...]
) -> Iterator[str]:
    name = container.get("name")
    yield from (
        f"state `{field}` for the container {name}" for field in sorted(set(container) - _CONTAINER_FIELDS)
    )
    command = tuple(map(str, list_or_empty(container.get("command"))))
    if not any(command[: len(begin)] == begin and (begin or not command) for begin in commands):
        yield f"run `{' '.join(command)[:80]}` in the container {name}"
    if commands is _EDGE and (command not in _EDGE or container.get("args")):
        yield f"run the edge with other arguments in the container {name}"
    if container.get("envFrom"):
        yield f"take variables of the container {name} from another object"
    for variable in list_or_empty(container.get("env")):
        if not _is_known_variable(subject, str(name), str(at(variable, "name")), at(variable, "value")):
            yield f"set the variable {at(variable, 'name')} of the container {name}"
    for probe in _PROBES:
        yield from _problems_of_call(f"the {probe} of {name}", container.get(probe))
    lifecycle = container.get("lifecycle")
    for hook in ("postStart", "preStop"):
        call = at(lifecycle, hook) if isinstance(lifecycle, Mapping) else None
        if call is not None and (not isinstance(call, Mapping) or set(call) != {"sleep"}):
            yield f"do more than wait in the {hook} of {name}"


def _is_known_variable(subject: Subject, container: str, name: str, value: Any) -> bool:
    if name in _VARIABLES.get(container, frozenset()):
        return True
    is_quiet = name == _LOG_LEVEL and value in _QUIET_LEVELS
    return container == "vllm" and (is_quiet or subject.trusts("engine_flags", name))


def _problems_of_call(where: str, call: Any) -> Iterator[str]:
    if call is None:
        return
    if not isinstance(call, Mapping):
        yield f"have {where} that is not known before the change"
    elif at(call, "httpGet.host") or at(call, "tcpSocket.host"):
        yield f"have kubelet call another host by {where}"
    elif call.get("exec") is not None:
        command = list(map(str, list_or_empty(at(call, "exec.command"))))
        if len(command) != 3 or command[:2] != ["python3", "-c"] or not command[2].startswith(_ASKS_LOOPBACK):
            yield f"run a command by {where}"


def _judged(subject: Subject) -> Iterator[Resource]:
    yield from (pod.resource for pod, _ in _own_pods(subject))
    yield from (task for task, _ in own_tasks(subject))


RULES = (
    Rule(
        "data-path/own-contents",
        "A class's own pods and tasks contain only what Isthmus makes",
        "critical",
        (*fw.nist("AC-4", "CM-7(5)", "SI-7"), *fw.iso_27001("A.8.12", "A.8.19"), *fw.dora("Art. 9(4)(b)")),
        "Another container, command, volume or network in a gateway's pod has its data, and can send it elsewhere",
        "Remove it from the change of the program; what every pod needs is a field of the platform",
        _check,
        applies_to=_judged,
    ),
)
