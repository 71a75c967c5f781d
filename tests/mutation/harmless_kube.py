"""Harmless changes of Kubernetes objects: the policies must not report them."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.parts import BOXES, CONFIGS, PODS, WORKLOADS
from tests.broken_graphs.resources import beside
from tests.mutation.shapes import HARMLESS, Context, Family, metadata

FAMILY = Family(HARMLESS)
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
SERVICE = "kubernetes:core/v1:Service"
ROLE = "isthmus.dev/role"


def is_gateway(_: Any, context: Context) -> bool:
    return context.labelled(ROLE) == "gateway"


def several(key: str) -> Any:
    return lambda part, _: len(part.get(key) or []) > 1


@FAMILY.changes(":Deployment")
def deployment_labelled(inputs: Any, context: Context) -> None:
    """A deployment bears one more label."""
    inputs["metadata"]["labels"]["cost-centre"] = "4711"


@FAMILY.changes(*WORKLOADS, lens=PODS)
def pods_labelled(pod: Any, context: Context) -> None:
    """Pods bear one more label."""
    pod["metadata"]["labels"]["team"] = "llm-platform"


@FAMILY.changes(*WORKLOADS, lens=PODS)
def pods_annotated(pod: Any, context: Context) -> None:
    """Pods bear an annotation of the organisation's."""
    pod["metadata"].setdefault("annotations", {})["bank.example/change"] = "CHG0042"


@FAMILY.changes(SERVICE)
def service_annotated(inputs: Any, context: Context) -> None:
    """A service bears an annotation of the organisation's."""
    inputs["metadata"]["annotations"]["bank.example/owner"] = "llm-platform"


@FAMILY.changes(":Namespace")
def namespace_labelled(inputs: Any, context: Context) -> None:
    """A namespace bears one more label."""
    inputs["metadata"]["labels"]["cost-centre"] = "4711"


def runbooks(near: Resource) -> list[Resource]:
    """A namespace of no class, under the strictest Pod Security Standard, that denies whatever comes and goes."""
    modes = ("enforce", "audit", "warn")
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in modes}
    namespace = {"metadata": {"name": "runbooks", "labels": labels}}
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    closed = {"metadata": {"name": "default-deny", "namespace": "runbooks"}, "spec": spec}
    return [
        beside(near, "kubernetes:core/v1:Namespace", "runbooks", namespace),
        beside(near, POLICY, "runbooks-default-deny", closed),
    ]


@FAMILY.adds(":Namespace")
def namespace_of_their_own(inputs: Any, context: Context) -> list[Resource]:
    """The organisation has a namespace of its own, which no class has anything to do with."""
    return runbooks(context.resource)


@FAMILY.adds(":Namespace")
def settings_in_a_namespace_of_their_own(inputs: Any, context: Context) -> list[Resource]:
    """The organisation keeps settings in a namespace of its own."""
    meta = {"name": "links", "namespace": "runbooks"}
    settings = {"metadata": meta, "data": {"wiki": "https://wiki.bank.example"}}
    return [
        *runbooks(context.resource),
        beside(context.resource, "kubernetes:core/v1:ConfigMap", "links", settings),
    ]


@FAMILY.adds(":Namespace", where=lambda _, context: context.class_ == "public")
def settings_beside_a_gateway(inputs: Any, context: Context) -> list[Resource]:
    """A ConfigMap with a note lies in the namespace of public work."""
    meta = {"name": "contacts", "namespace": inputs["metadata"]["name"]}
    note = {"metadata": meta, "data": {"on-call": "llm-platform"}}
    return [beside(context.resource, "kubernetes:core/v1:ConfigMap", f"{meta['namespace']}-contacts", note)]


@FAMILY.adds(":Namespace", where=lambda _, context: context.class_)
def dashboard_for_a_class(inputs: Any, context: Context) -> list[Resource]:
    """A dashboard, which Grafana takes from a ConfigMap, stands where monitoring is."""
    meta = {"name": f"llm-{context.class_}", "namespace": "monitoring", "labels": {"grafana_dashboard": "1"}}
    board = {"metadata": meta, "data": {"llm.json": '{"title": "LLM", "panels": []}'}}
    return [beside(context.resource, "kubernetes:core/v1:ConfigMap", meta["name"], board)]


@FAMILY.changes(*WORKLOADS, lens=BOXES, where=several("env"))
def variables_in_another_order(container: Any, context: Context) -> None:
    """A container's variables, of which none refers to another, are listed in another order."""
    container["env"].sort(
        key=lambda variable: (variable["name"] == "LEADER", -len(variable["name"]), variable["name"])
    )


@FAMILY.changes(*WORKLOADS, lens=BOXES, where=several("volumeMounts"))
def mounts_in_another_order(container: Any, context: Context) -> None:
    """A container's mounts are listed in another order."""
    container["volumeMounts"].reverse()


@FAMILY.changes(*WORKLOADS, lens=BOXES, where=several("ports"))
def ports_in_another_order(container: Any, context: Context) -> None:
    """A container's ports are listed in another order."""
    container["ports"].reverse()


@FAMILY.changes(*WORKLOADS, lens=PODS, where=lambda pod, _: len(pod["spec"].get("volumes") or []) > 1)
def volumes_in_another_order(pod: Any, context: Context) -> None:
    """A pod's volumes are listed in another order."""
    pod["spec"]["volumes"].reverse()


@FAMILY.changes(
    *WORKLOADS, lens=PODS, where=lambda pod, _: len(pod["spec"].get("topologySpreadConstraints") or []) > 1
)
def spread_in_another_order(pod: Any, context: Context) -> None:
    """What keeps replicas apart is listed in another order."""
    pod["spec"]["topologySpreadConstraints"].reverse()


@FAMILY.changes(POLICY, where=lambda inputs, _: len(inputs["spec"].get("ingress") or []) > 1)
def ways_in_in_another_order(inputs: Any, context: Context) -> None:
    """The ways in of a network policy are listed in another order."""
    inputs["spec"]["ingress"].reverse()


@FAMILY.changes(POLICY, where=lambda inputs, _: len(inputs["spec"]["policyTypes"]) > 1)
def policy_types_in_another_order(inputs: Any, context: Context) -> None:
    """What a network policy is about is listed in another order."""
    inputs["spec"]["policyTypes"].reverse()


@FAMILY.changes(POLICY, where=lambda inputs, _: inputs["metadata"]["name"] == "dns")
def ports_of_a_way_in_another_order(inputs: Any, context: Context) -> None:
    """The ports of a way out are listed in another order."""
    inputs["spec"]["egress"][0]["ports"].reverse()


@FAMILY.changes(
    POLICY, where=lambda inputs, context: is_gateway(inputs, context) and inputs["spec"].get("egress")
)
def way_out_said_twice(inputs: Any, context: Context) -> None:
    """A network policy says one of its ways out twice."""
    inputs["spec"]["egress"].append(copy.deepcopy(inputs["spec"]["egress"][0]))


def whole_network(rule: Any) -> bool:
    return [peer.get("ipBlock", {}).get("cidr", "")[-3:] for peer in rule.get("to", [])] == ["/16"]


@FAMILY.changes(
    POLICY, where=lambda inputs, _: any(whole_network(rule) for rule in inputs["spec"].get("egress") or [])
)
def way_out_to_half_of_the_network(inputs: Any, context: Context) -> None:
    """A translator's way out leads to a part of the network in AWS, which holds its endpoints."""
    for rule in inputs["spec"]["egress"]:
        if whole_network(rule):
            block = rule["to"][0]["ipBlock"]
            block["cidr"] = f"{block['cidr'][:-3]}/17"


@FAMILY.changes(
    POLICY, where=lambda inputs, context: context.labelled(ROLE) == "model" and inputs["spec"].get("ingress")
)
def way_in_held_to_the_namespace(inputs: Any, context: Context) -> None:
    """A model's policy also says which namespace its gateway is in."""
    peer = inputs["spec"]["ingress"][0]["from"][0]
    peer["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": context.space}}


@FAMILY.changes(*WORKLOADS, lens=BOXES, where=lambda container, _: "@sha256:" in container["image"])
def image_of_another_digest(container: Any, context: Context) -> None:
    """A container's image is another build, by its digest."""
    digest = random.Random(f"{context.rng.random()}").randbytes(32).hex()
    container["image"] = f"{container['image'].partition('@')[0]}@sha256:{digest}"


@FAMILY.changes(*WORKLOADS, lens=BOXES, where=lambda container, _: "@sha256:" in container["image"])
def image_by_tag_and_digest(container: Any, context: Context) -> None:
    """A container's image is named by its digest, and by a tag for those who read."""
    container["image"] = container["image"].replace("@", ":2026.11@")


@FAMILY.changes(*WORKLOADS, lens=BOXES)
def image_fetched_only_once(container: Any, context: Context) -> None:
    """It is said that an image is fetched once, which by a digest is so anyway."""
    container["imagePullPolicy"] = "IfNotPresent"


@FAMILY.changes(":Deployment", where=is_gateway)
def one_more_gateway(inputs: Any, context: Context) -> None:
    """A gateway has one more replica."""
    inputs["spec"]["replicas"] += 1


@FAMILY.changes(":ResourceQuota")
def quota_with_more_room(inputs: Any, context: Context) -> None:
    """A namespace's quota leaves room for a few more pods."""
    hard = inputs["spec"]["hard"]
    for name in ("pods", "limits.cpu", "requests.cpu"):
        thousandths = str(hard[name]).endswith("m")
        hard[name] = f"{int(hard[name][:-1]) + 4000}m" if thousandths else str(int(hard[name]) + 4)


@FAMILY.changes(":Deployment", lens=BOXES, where=is_gateway)
def gateway_with_more_memory(container: Any, context: Context) -> None:
    """A gateway's container has more memory."""
    for key in ("limits", "requests"):
        container["resources"][key]["memory"] = "2Gi"


@FAMILY.changes(":Deployment", lens=BOXES, where=is_gateway)
def gateway_that_asks_for_less_than_its_limit(container: Any, context: Context) -> None:
    """A gateway's container asks for less than it may take."""
    container["resources"]["requests"]["cpu"] = "500m"


@FAMILY.changes(*WORKLOADS, lens=BOXES, where=lambda container, _: "readinessProbe" in container)
def probe_at_another_interval(container: Any, context: Context) -> None:
    """A container is asked for its health more often."""
    container["readinessProbe"]["periodSeconds"] = 3


@FAMILY.changes(*WORKLOADS, lens=BOXES, where=lambda container, _: "startupProbe" in container)
def more_time_to_start(container: Any, context: Context) -> None:
    """A container gets more time to start."""
    container["startupProbe"]["failureThreshold"] *= 2


@FAMILY.changes(*WORKLOADS, lens=PODS)
def more_time_to_end(pod: Any, context: Context) -> None:
    """A pod gets more time to end its requests."""
    pod["spec"]["terminationGracePeriodSeconds"] += 60


@FAMILY.changes(":Deployment")
def more_time_to_roll_out(inputs: Any, context: Context) -> None:
    """A rollout is called failed later, and more revisions are kept."""
    inputs["spec"]["progressDeadlineSeconds"] += 600
    inputs["spec"]["revisionHistoryLimit"] = 10


@FAMILY.changes(*WORKLOADS, lens=PODS)
def more_room_for_scratch(pod: Any, context: Context) -> None:
    """A pod's scratch volumes are larger."""
    for volume in pod["spec"]["volumes"]:
        if volume.get("emptyDir", {}).get("sizeLimit") == "64Mi":
            volume["emptyDir"]["sizeLimit"] = "128Mi"
        elif volume.get("emptyDir", {}).get("sizeLimit") == "2Gi":
            volume["emptyDir"]["sizeLimit"] = "4Gi"


@FAMILY.changes(*WORKLOADS, lens=PODS)
def said_once_for_all_containers(pod: Any, context: Context) -> None:
    """What a pod says of its user and system calls is not said again by each container."""
    for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]:
        del container["securityContext"]["runAsNonRoot"], container["securityContext"]["seccompProfile"]


@FAMILY.changes(*WORKLOADS, lens=PODS)
def pod_of_another_user(pod: Any, context: Context) -> None:
    """A pod runs as another user, who is not root either."""
    pod["spec"]["securityContext"].update(runAsUser=65532, fsGroup=65532)


@FAMILY.changes(*WORKLOADS, lens=PODS)
def what_is_so_anyway_is_said(pod: Any, context: Context) -> None:
    """A pod says that it is not on its node's network, nor privileged."""
    pod["spec"].update(hostNetwork=False, hostPID=False, hostIPC=False)
    pod["spec"]["containers"][0]["securityContext"]["privileged"] = False


@FAMILY.changes(*WORKLOADS, lens=PODS)
def pod_for_linux_alone(pod: Any, context: Context) -> None:
    """A pod says that it is for machines with Linux."""
    pod["spec"].setdefault("nodeSelector", {})["kubernetes.io/os"] = "linux"


@FAMILY.changes(
    ":Deployment", lens=BOXES, where=lambda container, _: container.get("command") == ["vllm", "serve"]
)
def model_server_that_says_less(container: Any, context: Context) -> None:
    """A model server writes warnings only to its log."""
    container["env"].append({"name": "VLLM_LOGGING_LEVEL", "value": "WARNING"})


@FAMILY.changes(":PodMonitor")
def figures_less_often(inputs: Any, context: Context) -> None:
    """A workload's figures are collected every half minute."""
    inputs["spec"]["podMetricsEndpoints"][0]["interval"] = "30s"


@FAMILY.changes(":Certificate")
def certificate_for_a_shorter_time(inputs: Any, context: Context) -> None:
    """A certificate is good for half the time."""
    hours = int(inputs["spec"]["duration"].partition("h")[0])
    inputs["spec"].update(duration=f"{hours // 2}h0m0s", renewBefore=f"{hours // 6}h0m0s")


@FAMILY.changes(":Certificate", where=lambda inputs, _: inputs["spec"]["privateKey"]["size"] == 256)
def certificate_of_a_longer_key(inputs: Any, context: Context) -> None:
    """A certificate's private key is longer."""
    inputs["spec"]["privateKey"]["size"] = 384


@FAMILY.changes(":ConfigMap", lens=CONFIGS)
def configuration_in_another_order(config: Any, context: Context) -> None:
    """The keys of a configuration stand in another order."""
    turned = dict(reversed(config.items()))
    config.clear()
    config.update(turned)


@FAMILY.changes(":ConfigMap", lens=CONFIGS, where=lambda config, _: "limits" in config)
def requests_of_half_the_size(config: Any, context: Context) -> None:
    """The largest request that is taken is half as large."""
    config["limits"]["max_body_bytes"] //= 2


@FAMILY.redoes(":ConfigMap", where=lambda inputs, _: "-config-" in inputs["metadata"]["name"])
def configuration_of_another_name(inputs: Any, context: Context) -> list[Resource]:
    """A configuration bears another name, and the pods that mount it say so."""
    old_name, new = inputs["metadata"]["name"], f"{inputs['metadata']['name'].rpartition('-')[0]}-b1946ac92a"
    copies = []
    for resource in context.resources:
        now = copy.deepcopy(resource.inputs)
        if resource.urn == context.resource.urn:
            now["metadata"]["name"] = new
        elif metadata(resource).get("namespace") == context.space:
            for at in PODS.find(now):
                for volume in PODS.open(now, at)["spec"].get("volumes") or []:
                    if volume.get("configMap", {}).get("name") == old_name:
                        volume["configMap"]["name"] = new
        copies.append(replace(resource, inputs=now) if now != resource.inputs else resource)
    return copies


@FAMILY.redoes(":Namespace", where=lambda _, context: context.class_)
def everything_labelled(inputs: Any, context: Context) -> list[Resource]:
    """Every object of a namespace bears one more label."""
    copies = []
    for resource in context.resources:
        if metadata(resource).get("namespace") == inputs["metadata"]["name"]:
            now = copy.deepcopy(resource.inputs)
            now["metadata"].setdefault("labels", {})["app.kubernetes.io/managed-by"] = "pulumi"
            resource = replace(resource, inputs=now)
        copies.append(resource)
    return copies
