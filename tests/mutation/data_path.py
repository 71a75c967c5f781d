"""Faults in data paths inside a cluster: ingress, egress, classes."""

from __future__ import annotations

import copy
from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.parts import CLASS, CONFIGS, CONFIGURED, PODS, WORKLOADS
from tests.broken_graphs.resources import beside, copied
from tests.mutation.shapes import Context, Family, class_of, metadata

FAMILY = Family("data-path")
CLASSES = ("public", "internal", "confidential", "restricted")
CLOSED = CLASSES[1:]
"""Classes whose data never goes over the internet."""
ROLE = "isthmus.dev/role"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
SERVICE = "kubernetes:core/v1:Service"


def closed(_: Any, context: Context) -> bool:
    return context.class_ in CLOSED


def spaces(context: Context) -> dict[str, str]:
    """Classes that have a namespace beside the resource's own, with its name."""
    by_class = {class_of(namespace): metadata(namespace)["name"] for namespace in context.of(":Namespace")}
    return {
        name: namespace for name, namespace in sorted(by_class.items()) if name not in ("", context.class_)
    }


def lower(context: Context) -> list[str]:
    """Classes with a namespace that are less sensitive than the resource's own."""
    rank = CLASSES.index(context.class_) if context.class_ in CLASSES else 0
    return [sensitivity for sensitivity in CLASSES[:rank] if sensitivity in spaces(context)]


def denies(inputs: Any, context: Context) -> bool:
    return metadata(context.resource)["name"] == "default-deny"


@FAMILY.drops(POLICY, where=denies)
def namespace_without_default_deny(inputs: Any, context: Context) -> None:
    """The policy that denies whatever no other one allows is left out of a namespace."""


@FAMILY.changes(POLICY, where=denies)
def default_deny_of_ingress_alone(inputs: Any, context: Context) -> None:
    """A namespace's default policy denies what comes in and no longer what goes out."""
    inputs["spec"]["policyTypes"] = ["Ingress"]


@FAMILY.changes(POLICY, where=denies)
def default_deny_of_gateways_alone(inputs: Any, context: Context) -> None:
    """A namespace's default policy selects the gateway's pods and none else."""
    inputs["spec"]["podSelector"] = {"matchLabels": {ROLE: "gateway"}}


def lets_in(inputs: Any, context: Context) -> bool:
    return closed(inputs, context) and bool(inputs["spec"].get("ingress"))


@FAMILY.changes(POLICY, where=lets_in)
def way_in_for_every_namespace(inputs: Any, context: Context) -> None:
    """A policy lets pods of every namespace in, at the port that serves."""
    inputs["spec"]["ingress"][0]["from"] = [{"namespaceSelector": {}}]


@FAMILY.changes(POLICY, where=lambda inputs, context: lets_in(inputs, context) and lower(context))
def way_in_for_another_class(inputs: Any, context: Context) -> None:
    """A policy also lets in the namespaces of a less sensitive class."""
    lower_class = context.rng.choice(lower(context))
    inputs["spec"]["ingress"][0]["from"].append({"namespaceSelector": {"matchLabels": {CLASS: lower_class}}})


@FAMILY.changes(POLICY, where=lambda inputs, context: closed(inputs, context) and lower(context))
def way_out_to_another_class(inputs: Any, context: Context) -> None:
    """A policy lets pods call into the namespace of a less sensitive class."""
    peer = {"namespaceSelector": {"matchLabels": {CLASS: context.rng.choice(lower(context))}}}
    spec = inputs["spec"]
    spec["egress"] = [*spec.get("egress", []), {"to": [peer], "ports": [{"port": 8443, "protocol": "TCP"}]}]
    spec["policyTypes"] = sorted({*spec["policyTypes"], "Egress"})


@FAMILY.changes(
    POLICY,
    where=lambda inputs, context: closed(inputs, context) and metadata(context.resource)["name"] == "dns",
)
def names_asked_of_any_resolver(inputs: Any, context: Context) -> None:
    """Pods may ask whatever resolver there is on the internet for names."""
    inputs["spec"]["egress"][0]["to"] = [{"ipBlock": {"cidr": "0.0.0.0/0"}}]


@FAMILY.adds(POLICY, where=lambda inputs, context: denies(inputs, context) and closed(inputs, context))
def policy_of_a_kind_of_its_own(inputs: Any, context: Context) -> list[Resource]:
    """A policy of the network plugin's own kind lets a namespace out into the world."""
    spec = {"endpointSelector": {}, "egress": [{"toEntities": ["world"]}]}
    more = {"metadata": {"name": "patch-window", "namespace": context.space}, "spec": spec}
    return [
        beside(
            context.resource, "kubernetes:cilium.io/v2:CiliumNetworkPolicy", f"{context.space}-window", more
        )
    ]


@FAMILY.changes(":Namespace", where=closed)
def namespace_of_a_lower_class(inputs: Any, context: Context) -> None:
    """The label that says a namespace's class is lowered to public."""
    inputs["metadata"]["labels"][CLASS] = "public"


def serves(inputs: Any, context: Context) -> bool:
    return closed(inputs, context) and context.labelled(ROLE) in ("model", "gateway")


@FAMILY.adds(
    ":Deployment", where=lambda _, context: closed(_, context) and context.labelled(ROLE) == "gateway"
)
def extra_workload_in_a_namespace(inputs: Any, context: Context) -> list[Resource]:
    """A deployment that the platform knows nothing of stands in a class's namespace, labelled as a gateway."""
    label = "app.kubernetes.io/name"
    spec = inputs["spec"]
    for labels in (
        inputs["metadata"]["labels"],
        spec["selector"]["matchLabels"],
        spec["template"]["metadata"]["labels"],
    ):
        labels[label] = "evaluation"
    for constraint in spec["template"]["spec"]["topologySpreadConstraints"]:
        constraint["labelSelector"]["matchLabels"][label] = "evaluation"
    inputs["metadata"]["name"] = "evaluation"
    return [copied(context.resource, f"{context.space}-evaluation", inputs)]


@FAMILY.changes(":Deployment", where=lambda inputs, context: serves(inputs, context) and lower(context))
def workload_in_the_namespace_of_another_class(inputs: Any, context: Context) -> None:
    """A gateway or model is moved into the namespace of a less sensitive class."""
    inputs["metadata"]["namespace"] = spaces(context)[context.rng.choice(lower(context))]


@FAMILY.changes(
    SERVICE, where=lambda inputs, context: closed(inputs, context) and context.labelled(ROLE) == "gateway"
)
def gateway_behind_a_public_load_balancer(inputs: Any, context: Context) -> None:
    """The service of a gateway asks for a load balancer, which clouds put on the internet."""
    inputs["spec"]["type"] = "LoadBalancer"


@FAMILY.changes(
    SERVICE, where=lambda inputs, context: closed(inputs, context) and context.labelled(ROLE) == "model"
)
def service_that_is_a_name_elsewhere(inputs: Any, context: Context) -> None:
    """The service of a model becomes an alias of a provider's public API."""
    inputs["spec"] = {
        "type": "ExternalName",
        "externalName": "api.openai.com",
        "ports": inputs["spec"]["ports"],
    }


@FAMILY.adds(
    SERVICE, where=lambda inputs, context: closed(inputs, context) and context.labelled(ROLE) == "gateway"
)
def gateway_behind_an_ingress(inputs: Any, context: Context) -> list[Resource]:
    """An Ingress leads from the cluster's edge to a class's gateway."""
    name = inputs["metadata"]["name"]
    backend = {"service": {"name": name, "port": {"number": 8443}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    rule = {"host": "llm.bank.example", "http": {"paths": paths}}
    more = {
        "metadata": {"name": "llm", "namespace": context.space},
        "spec": {"ingressClassName": "nginx", "rules": [rule]},
    }
    return [beside(context.resource, "kubernetes:networking.k8s.io/v1:Ingress", f"{name}-ingress", more)]


@FAMILY.changes(*WORKLOADS, lens=PODS, where=closed, also=["workload"])
def pod_on_the_network_of_its_node(pod: Any, context: Context) -> None:
    """A pod uses the network of its node, where no network policy holds it."""
    pod["spec"]["hostNetwork"] = True


def resolves_alone(pod: Any, context: Context) -> bool:
    return context.class_ == "restricted" and pod["spec"].get("dnsPolicy") == "None"


@FAMILY.changes(":Deployment", ":LeaderWorkerSet", lens=PODS, where=resolves_alone)
def restricted_pod_that_resolves_cloud_names(pod: Any, context: Context) -> None:
    """A restricted pod asks the cluster's own DNS, which knows the names of the cloud."""
    pod["spec"]["dnsPolicy"] = "ClusterFirst"
    del pod["spec"]["dnsConfig"]


def with_helper(context: Context) -> list[dict[str, Any]]:
    """Credential helpers of the stack's translators."""
    return [
        container
        for deployment in context.of(":Deployment")
        for container in deployment.inputs["spec"]["template"]["spec"].get("initContainers") or []
        if "aws_signing_helper" in container.get("command", [])
    ]


def faces_restricted(_: Any, context: Context) -> bool:
    return (context.class_, context.labelled(ROLE)) == ("restricted", "gateway")


@FAMILY.changes(
    ":Deployment",
    lens=PODS,
    where=lambda pod, context: faces_restricted(pod, context) and with_helper(context),
    also=["identity"],
)
def restricted_gateway_with_an_aws_identity(pod: Any, context: Context) -> None:
    """A translator's credential helper stands in the pods of the restricted gateway."""
    pod["spec"]["initContainers"] = [copy.deepcopy(with_helper(context)[0])]
    certificate = {"name": "identity", "secret": {"secretName": "restricted-identity", "defaultMode": 288}}
    pod["spec"]["volumes"].append(certificate)


@FAMILY.changes(":ServiceAccount", where=lambda inputs, context: serves(inputs, context), also=["identity"])
def service_account_with_an_aws_role(inputs: Any, context: Context) -> None:
    """A service account that has no business in AWS is annotated with a role there."""
    notes = inputs["metadata"].setdefault("annotations", {})
    notes["eks.amazonaws.com/role-arn"] = "arn:aws:iam::111122223333:role/data-science"


def gateway_with_another(config: Any, context: Context) -> bool:
    return config["mode"] == "gateway" and bool(other_routes(config, context))


def other_routes(config: Any, context: Context) -> list[dict[str, Any]]:
    """Routes of gateways that serve less sensitive classes."""
    rank = CLASSES.index(config["class"])
    return [
        route
        for resource in context.of(*CONFIGURED)
        for at in CONFIGS.find(resource.inputs)
        if (config_found := CONFIGS.open(resource.inputs, at))["mode"] == "gateway"
        and CLASSES.index(config_found["class"]) < rank
        for route in config_found["routes"]
    ]


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=gateway_with_another)
def route_into_a_lower_class(config: Any, context: Context) -> None:
    """A gateway's route leads to what serves a less sensitive class."""
    destination = context.rng.choice(other_routes(config, context))
    config["routes"][0].update({key: destination[key] for key in ("url", "server_name", "model")})


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=lambda config, _: config.get("allowed_clients"))
def model_that_answers_another_class(config: Any, context: Context) -> None:
    """The sidecar of a model, or a translator, also takes the certificate of another class's gateway."""
    other_class = next(sensitivity for sensitivity in CLASSES if sensitivity != config["class"])
    config["allowed_clients"].append(f"{other_class}-gateway.isthmus-{other_class}.svc")


def routes_inside(config: Any, _: Context) -> bool:
    return config["mode"] == "gateway" and config["class"] in CLOSED


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=routes_inside)
def share_of_requests_to_another_provider(config: Any, context: Context) -> None:
    """A tenth of a workload's requests goes to a public API as a canary."""
    host = "api.mistral.ai"
    canary = {"url": f"https://{host}:443", "server_name": host, "model": "mistral-large", "percent": 10}
    config["routes"][0]["canary"] = canary


def keeps_out(inputs: Any, context: Context) -> bool:
    """Where there is a restricted namespace to be kept."""
    return any(class_of(namespace) == "restricted" for namespace in context.of(":Namespace"))


@FAMILY.changes(":ValidatingAdmissionPolicyBinding", where=keeps_out, also=["workload"])
def admission_that_only_warns(inputs: Any, context: Context) -> None:
    """What must not be admitted into a restricted namespace is only warned of."""
    inputs["spec"]["validationActions"] = ["Warn", "Audit"]


@FAMILY.changes(":ValidatingAdmissionPolicy", where=keeps_out, also=["workload"])
def admission_that_fails_open(inputs: Any, context: Context) -> None:
    """What the admission policy cannot evaluate is let into a restricted namespace."""
    inputs["spec"]["failurePolicy"] = "Ignore"


@FAMILY.drops(":ValidatingAdmissionPolicyBinding", where=keeps_out, also=["workload"])
def admission_that_binds_nobody(inputs: Any, context: Context) -> None:
    """The binding of an admission policy is left out, so it is asked of nothing."""
