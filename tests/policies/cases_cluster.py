"""Cases of rules for Kubernetes: workloads, namespaces, RBAC, quotas; and for Fargate tasks."""

from __future__ import annotations

import json
from typing import Any

from tests.broken_graphs.inputs import changed
from tests.policies.cases import Case
from tests.policies.making import resource_of

DIGEST = "sha256:" + "a" * 64
BOX: dict[str, Any] = {
    "name": "edge",
    "image": f"registry.bank.example/edge@{DIGEST}",
    "ports": [{"containerPort": 8443}],
    "env": [{"name": "HOME", "value": "/cache"}],
    "readinessProbe": {"httpGet": {"path": "/health", "port": 9090}},
    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
    "securityContext": {
        **{"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True},
        **{"capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}},
    },
}
LABELS = {"app": "gw", "isthmus.dev/role": "gateway"}


def deployment(
    box: dict[str, Any] = BOX, name: str = "gw", labels: dict[str, str] = LABELS, **spec: Any
) -> Any:
    pod = {
        **{"automountServiceAccountToken": False, "serviceAccountName": "gw", "containers": [box]},
        **{"volumes": [{"name": "tmp", "emptyDir": {}}], "topologySpreadConstraints": [{"maxSkew": 1}]},
        **spec.pop("pod", {}),
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    inputs = {
        "metadata": {"name": name, "namespace": "space"},
        "spec": {"replicas": 2, "strategy": {"type": "RollingUpdate"}, "template": template, **spec},
    }
    return resource_of("kubernetes:apps/v1:Deployment", name, inputs)


POD = "spec.template.spec"
FIRST = f"{POD}.containers.0"
GW = deployment()
TASK_BOX = {
    **{"name": "edge", "image": f"1.dkr.ecr.eu-central-1.amazonaws.com/edge@{DIGEST}", "user": "65532:65532"},
    **{"readonlyRootFilesystem": True, "linuxParameters": {"capabilities": {"drop": ["ALL"]}}},
    "environment": [{"name": "EDGE_CONFIG", "value": "mode: gateway"}],
}


def task(**more: Any) -> Any:
    boxes = json.dumps([{**TASK_BOX, **more}])
    return resource_of("aws:ecs/taskDefinition:TaskDefinition", "task", {"containerDefinitions": boxes})


TASK = task()
DISRUPTION = resource_of(
    "kubernetes:policy/v1:PodDisruptionBudget",
    "pdb",
    {
        "metadata": {"name": "pdb", "namespace": "space"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "gw"}}},
    },
)
SPACE = resource_of(
    "kubernetes:core/v1:Namespace",
    "space",
    {"metadata": {"name": "space", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
)
_OURS = resource_of(
    "kubernetes:core/v1:Namespace",
    "ours",
    {"metadata": {"name": "space", "labels": {"isthmus.dev/class": "internal"}}},
)
QUOTA = resource_of(
    "kubernetes:core/v1:ResourceQuota",
    "quota",
    {
        "metadata": {"name": "q", "namespace": "space"},
        "spec": {"hard": {"limits.memory": "1Gi", "pods": "9", "requests.nvidia.com/gpu": "4"}},
    },
)


def policy(name: str, **spec: Any) -> Any:
    inputs = {"metadata": {"name": name, "namespace": "space"}, "spec": spec}
    return resource_of("kubernetes:networking.k8s.io/v1:NetworkPolicy", name, inputs)


DENY = policy("deny", podSelector={}, policyTypes=["Ingress", "Egress"])
OPENS = policy(
    "opens",
    podSelector={"matchLabels": {"app": "gw"}},
    policyTypes=["Egress"],
    egress=[{"to": [{"ipBlock": {"cidr": "10.40.0.0/16"}}]}],
)
ROLE = resource_of(
    "kubernetes:rbac.authorization.k8s.io/v1:Role",
    "reader",
    {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
)
BINDING = resource_of(
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
    "reads",
    {"roleRef": {"kind": "Role", "name": "reader"}, "subjects": [{"kind": "Group", "name": "oidc:platform"}]},
)
ADMISSION = resource_of(
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding",
    "bound",
    {"spec": {"policyName": "guard", "validationActions": ["Deny"]}},
)
GUARD = resource_of(
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy",
    "guard",
    {"metadata": {"name": "guard"}, "spec": {"failurePolicy": "Fail"}},
)
GPU = deployment(
    {**BOX, "resources": {"limits": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"}}},
    "model",
    {"app": "gw", "kueue.x-k8s.io/queue-name": "pool"},
)
QUEUE = resource_of(
    "kubernetes:kueue.x-k8s.io/v1beta2:LocalQueue",
    "queue",
    {"metadata": {"name": "pool", "namespace": "space"}},
)
SCALED = resource_of("kubernetes:keda.sh/v1alpha1:ScaledObject", "scaled", {"spec": {"maxReplicaCount": 4}})
CERTIFICATE = resource_of(
    "kubernetes:cert-manager.io/v1:Certificate",
    "tls",
    {"spec": {"duration": "2160h0m0s", "privateKey": {"rotationPolicy": "Always"}}},
)


def _with_duration(text: str) -> Any:
    return resource_of(CERTIFICATE.type, "tls", {"spec": {**CERTIFICATE.inputs["spec"], "duration": text}})


CLUSTER_IP = resource_of("kubernetes:core/v1:Service", "svc", {"spec": {"type": "ClusterIP", "ports": []}})

_OTHER_QUEUE = resource_of(QUEUE.type, "other", {"metadata": {"name": "other", "namespace": "space"}})
_IN_DEFAULT = resource_of(GW.type, "gw", {**GW.inputs, "metadata": {"name": "gw", "namespace": "default"}})
_CLOSED_DEFAULT = resource_of(
    DENY.type, "deny", {**DENY.inputs, "metadata": {"name": "deny", "namespace": "default"}}
)

CASES = [
    Case(
        "workload/can-be-read",
        [GW, TASK],
        unknown=["spec.template.spec", "spec.template"],
    ),
    Case(
        "workload/no-privilege",
        [GW, TASK],
        fails=[
            {f"{FIRST}.securityContext.privileged": True},
            {f"{FIRST}.securityContext.allowPrivilegeEscalation": True},
            {f"{POD}.initContainers": [{"name": "init", "image": "x"}]},
        ],
        missing=[f"{FIRST}.securityContext.allowPrivilegeEscalation", f"{FIRST}.securityContext"],
        unknown=[f"{FIRST}.securityContext.allowPrivilegeEscalation"],
        broken=[[task(privileged=True)]],
    ),
    Case(
        "workload/no-capability",
        [GW, TASK],
        fails=[
            {f"{FIRST}.securityContext.capabilities.add": ["SYS_ADMIN"]},
            {f"{FIRST}.securityContext.capabilities.drop": ["NET_RAW"]},
        ],
        missing=[f"{FIRST}.securityContext.capabilities"],
        unknown=[f"{FIRST}.securityContext.capabilities"],
        broken=[[task(linuxParameters={})]],
    ),
    Case(
        "workload/not-root",
        [GW, TASK],
        fails=[
            {f"{FIRST}.securityContext.runAsNonRoot": False},
            {f"{POD}.securityContext": {"runAsUser": 0}},
        ],
        missing=[f"{FIRST}.securityContext.runAsNonRoot"],
        unknown=[f"{FIRST}.securityContext.runAsNonRoot"],
        broken=[[task(user="root")], [task(user=None)]],
    ),
    Case(
        "workload/no-host",
        [GW],
        fails=[
            {f"{POD}.hostNetwork": True},
            {f"{POD}.volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
            {f"{FIRST}.ports": [{"containerPort": 1, "hostPort": 1}]},
        ],
        unknown=[f"{POD}.hostPID"],
        also=[changed([GW], {f"{POD}.volumes": [{"name": "v", "image": {"reference": "r/w@sha256:0"}}]})],
    ),
    Case(
        "workload/confined",
        [GW],
        fails=[{f"{FIRST}.securityContext.seccompProfile.type": "Unconfined"}],
        missing=[f"{FIRST}.securityContext.seccompProfile"],
        unknown=[f"{FIRST}.securityContext.seccompProfile"],
    ),
    Case(
        "workload/read-only-root",
        [GW, TASK],
        fails=[{f"{FIRST}.securityContext.readOnlyRootFilesystem": False}],
        missing=[f"{FIRST}.securityContext.readOnlyRootFilesystem"],
        unknown=[f"{FIRST}.securityContext.readOnlyRootFilesystem"],
        broken=[[task(readonlyRootFilesystem=False)]],
        also=[[deployment({key: value for key, value in BOX.items() if key != "ports"})]],
    ),
    Case(
        "workload/images-by-digest",
        [GW, TASK],
        fails=[{f"{FIRST}.image": "nginx:1.29"}, {f"{FIRST}.image": "nginx"}],
        missing=[f"{FIRST}.image"],
        unknown=[f"{FIRST}.image"],
        broken=[
            [task(image="x:latest")],
            [resource_of("aws:sagemaker/model:Model", "m", {"primaryContainer": {"image": "x"}})],
        ],
        also=[[deployment({**BOX, "image": "${registry.url}/edge@" + DIGEST})]],
    ),
    Case(
        "workload/no-token",
        [GW],
        fails=[{f"{POD}.automountServiceAccountToken": True}],
        missing=[f"{POD}.automountServiceAccountToken"],
        unknown=[f"{POD}.automountServiceAccountToken"],
    ),
    Case(
        "workload/own-account",
        [GW],
        fails=[{f"{POD}.serviceAccountName": "default"}],
        missing=[f"{POD}.serviceAccountName"],
    ),
    Case(
        "workload/no-secret-in-environment",
        [GW, TASK],
        fails=[
            {f"{FIRST}.env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
            {f"{FIRST}.env": [{"name": "DB_PASSWORD", "value": "x"}]},
            {f"{FIRST}.envFrom": [{"secretRef": {"name": "s"}}]},
        ],
        broken=[[task(environment=[{"name": "API_KEY", "value": "x"}])]],
        also=[[deployment({**BOX, "env": [{"name": "MAX_TOKENS", "value": "5"}]})]],
    ),
    Case(
        "workload/namespaces-restricted",
        [SPACE],
        fails=[{"metadata.labels": {"pod-security.kubernetes.io/enforce": "baseline"}}],
        missing=["metadata.labels"],
        unknown=["metadata.labels"],
    ),
    Case(
        "workload/not-default-namespace",
        [GW],
        fails=[{"metadata.namespace": "default"}],
        missing=["metadata.namespace"],
        broken=[[_IN_DEFAULT, _CLOSED_DEFAULT]],
    ),
    Case(
        "workload/admission-denies",
        [ADMISSION, GUARD],
        fails=[{"spec.validationActions": ["Warn"]}, {"spec.policyName": "another"}],
        missing=["spec.validationActions"],
        unknown=["spec.validationActions"],
        broken=[
            [
                ADMISSION,
                resource_of(
                    GUARD.type, "guard", {"metadata": {"name": "guard"}, "spec": {"failurePolicy": "Ignore"}}
                ),
            ]
        ],
    ),
    Case(
        "workload/nobody-steps-in",
        [GW],
        fails=[{f"{POD}.shareProcessNamespace": True}],
    ),
    Case(
        "identity/no-cluster-admin",
        [BINDING],
        fails=[{"roleRef.name": "cluster-admin"}],
        unknown=["roleRef.name"],
    ),
    Case(
        "identity/no-role-for-everybody",
        [BINDING],
        fails=[{"subjects": [{"kind": "Group", "name": "system:authenticated"}]}],
    ),
    Case(
        "identity/no-wildcard-in-cluster",
        [ROLE],
        fails=[
            {"rules": [{"apiGroups": ["*"], "resources": ["pods"], "verbs": ["get"]}]},
            {"rules.0.verbs": ["*"]},
        ],
    ),
    Case(
        "identity/no-rise-in-cluster",
        [ROLE],
        fails=[
            {"rules.0.verbs": ["impersonate"]},
            {"rules": [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}]},
        ],
    ),
    Case(
        "identity/secrets-unread",
        [ROLE],
        fails=[{"rules.0.resources": ["secrets"]}],
        also=[
            [
                resource_of(
                    ROLE.type,
                    "one",
                    {"rules": [{"resources": ["secrets"], "verbs": ["get"], "resourceNames": ["a"]}]},
                )
            ]
        ],
    ),
    Case(
        "cost/limits",
        [GW],
        fails=[{f"{FIRST}.resources.limits.memory": None}],
        missing=[f"{FIRST}.resources", f"{FIRST}.resources.limits.cpu"],
        unknown=[f"{FIRST}.resources.limits.memory"],
    ),
    Case(
        "cost/namespace-quota",
        [QUOTA, _OURS],
        fails=[{"spec.hard": {"pods": "9"}}, {"spec.hard": {"limits.memory": "1Gi"}}],
        missing=["spec"],
        unknown=["spec"],
        broken=[[_OURS]],
        also=[[SPACE]],
    ),
    Case(
        "cost/gpus-bounded",
        [QUOTA, GPU],
        fails=[{"spec.hard": {"pods": "9"}}],
        broken=[[GPU]],
        also=[[GPU, QUEUE]],
    ),
    Case(
        "cost/gpus-queued",
        [QUEUE, GPU],
        fails=[{"metadata.name": "another"}],
        broken=[[QUOTA, _OTHER_QUEUE, GPU]],
        also=[[GPU]],
    ),
    Case(
        "cost/scaling-ends",
        [SCALED],
        fails=[{"spec.maxReplicaCount": 0}],
        missing=["spec.maxReplicaCount"],
        unknown=["spec.maxReplicaCount"],
    ),
    Case(
        "reliability/drains",
        [DISRUPTION, GW],
        fails=[
            {"spec.maxUnavailable": "100%"},
            {"spec.maxUnavailable": 0},
            {"spec.selector": {"matchLabels": {"app": "other"}}},
        ],
        unknown=["spec.maxUnavailable", "spec.minAvailable"],
        broken=[[GW]],
    ),
    Case(
        "reliability/spread",
        [GW],
        fails=[{f"{POD}.topologySpreadConstraints": []}],
        missing=[f"{POD}.topologySpreadConstraints"],
    ),
    Case(
        "reliability/probed",
        [GW],
        fails=[{f"{FIRST}.readinessProbe": None}],
        missing=[f"{FIRST}.readinessProbe"],
    ),
    Case(
        "reliability/replicas",
        [GW],
        fails=[{"spec.replicas": 1}],
        missing=["spec.replicas"],
        unknown=["spec.replicas"],
    ),
    Case(
        "reliability/releases-roll",
        [GW],
        fails=[{"spec.strategy": {"type": "Recreate"}}],
    ),
    Case(
        "encryption/certificates-renew",
        [CERTIFICATE],
        fails=[
            {"spec.duration": "8760h"},
            {"spec.duration": "2160h1m"},
            {"spec.duration": "2160h0m1s"},
            {"spec.privateKey.rotationPolicy": "Never"},
        ],
        also=[[_with_duration("2159h59m")], [_with_duration("2159h3600s")], [_with_duration("129600m")]],
    ),
]
