"""Kubernetes types that Isthmus reads, or knows to keep a class's data where it is. Each has its reason.

A type that is on no list is undecided in a class's namespace. An organisation adds types in `trust.yaml`
(`resource_types`). Only exact API versions count: rules read the fields of these versions.
"""

from __future__ import annotations

_WORKLOAD = "its pod template is judged like every pod"
_MONITORING = "an operator reads numbers by it; a proxy is judged"
_WEBHOOK = "whom it asks, and about what, is judged"
_ROUTE = "routes and listeners are judged with the class's own router"
_VAULT = "what it reads needs an entry of its own (`data-path/own-objects`)"

IN_CLASS_NAMESPACES: dict[str, str] = {
    "kubernetes:core/v1:ConfigMap": "settings that a pod of the namespace mounts; edge configurations are judged",
    "kubernetes:core/v1:Endpoints": "addresses behind a Service are judged",
    "kubernetes:core/v1:LimitRange": "bounds what containers may use",
    "kubernetes:core/v1:PersistentVolumeClaim": "binds to a volume, which is judged",
    "kubernetes:core/v1:Pod": _WORKLOAD,
    "kubernetes:core/v1:ReplicationController": _WORKLOAD,
    "kubernetes:core/v1:ResourceQuota": "bounds what the namespace may use",
    "kubernetes:core/v1:Secret": "only pods of the namespace can mount it, and these are judged",
    "kubernetes:core/v1:Service": "its type, addresses and external name are judged",
    "kubernetes:core/v1:ServiceAccount": "its roles and annotations are judged",
    "kubernetes:apps/v1:DaemonSet": _WORKLOAD,
    "kubernetes:apps/v1:Deployment": _WORKLOAD,
    "kubernetes:apps/v1:ReplicaSet": _WORKLOAD,
    "kubernetes:apps/v1:StatefulSet": _WORKLOAD,
    "kubernetes:batch/v1:CronJob": _WORKLOAD,
    "kubernetes:batch/v1:Job": _WORKLOAD,
    "kubernetes:autoscaling/v1:HorizontalPodAutoscaler": "changes a number of replicas",
    "kubernetes:autoscaling/v2:HorizontalPodAutoscaler": "changes a number of replicas",
    "kubernetes:coordination.k8s.io/v1:Lease": "a name and a time, by which replicas elect one of them",
    "kubernetes:discovery.k8s.io/v1:EndpointSlice": "addresses behind a Service are judged",
    "kubernetes:networking.k8s.io/v1:Ingress": "what it exposes is judged",
    "kubernetes:networking.k8s.io/v1:NetworkPolicy": "the data paths are found by it",
    "kubernetes:policy/v1:PodDisruptionBudget": "bounds evictions",
    "kubernetes:rbac.authorization.k8s.io/v1:Role": "its permissions are judged",
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": "its role and subjects are judged",
    "kubernetes:resource.k8s.io/v1:ResourceClaim": "asks for devices of a class",
    "kubernetes:resource.k8s.io/v1:ResourceClaimTemplate": "asks for devices of a class",
    "kubernetes:cert-manager.io/v1:Certificate": "its names are judged",
    "kubernetes:gateway.networking.k8s.io/v1:BackendTLSPolicy": "requires TLS to a backend of its namespace",
    "kubernetes:gateway.networking.k8s.io/v1:Gateway": _ROUTE,
    "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute": _ROUTE,
    "kubernetes:inference.networking.k8s.io/v1:InferencePool": "selects pods of its namespace",
    "kubernetes:keda.sh/v1alpha1:ScaledObject": "changes a number of replicas",
    "kubernetes:kueue.x-k8s.io/v1beta2:LocalQueue": "names the quota that pods of the namespace use",
    "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet": _WORKLOAD,
    "kubernetes:monitoring.coreos.com/v1:PodMonitor": _MONITORING,
    "kubernetes:monitoring.coreos.com/v1:PrometheusRule": "computes numbers and alerts from metrics",
    "kubernetes:monitoring.coreos.com/v1:ServiceMonitor": _MONITORING,
    "kubernetes:resource.nvidia.com/v1beta1:ComputeDomain": "joins GPUs of one group of pods",
}
"""Types that may be in a class's namespace."""

CLUSTER_WIDE: dict[str, str] = {
    "kubernetes:admissionregistration.k8s.io/v1:MutatingWebhookConfiguration": _WEBHOOK,
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy": "rejects objects, and changes none",
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding": "its actions are judged",
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingWebhookConfiguration": _WEBHOOK,
    "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition": "defines a kind; a conversion webhook is judged",
    "kubernetes:core/v1:Namespace": "its class and its Pod Security Standard are judged",
    "kubernetes:core/v1:PersistentVolume": "where it stores data is judged",
    "kubernetes:flowcontrol.apiserver.k8s.io/v1:FlowSchema": "orders requests to the API server",
    "kubernetes:flowcontrol.apiserver.k8s.io/v1:PriorityLevelConfiguration": "orders requests to the API server",
    "kubernetes:networking.k8s.io/v1:IngressClass": "names a controller; what an Ingress exposes is judged",
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": "its permissions are judged",
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": "its role and subjects are judged",
    "kubernetes:resource.k8s.io/v1:DeviceClass": "selects devices by their properties",
    "kubernetes:scheduling.k8s.io/v1:PriorityClass": "orders pods that wait for a node",
    "kubernetes:kueue.x-k8s.io/v1beta2:ClusterQueue": "bounds what queues may use",
    "kubernetes:kueue.x-k8s.io/v1beta2:Cohort": "lends quotas between queues",
    "kubernetes:kueue.x-k8s.io/v1beta2:ResourceFlavor": "names a kind of node",
    "kubernetes:kueue.x-k8s.io/v1beta2:Topology": "names the levels of a network of nodes",
    "kubernetes:kueue.x-k8s.io/v1beta2:WorkloadPriorityClass": "orders pods that wait for a quota",
    "kubernetes:nfd.k8s-sigs.io/v1alpha1:NodeFeatureRule": "labels nodes by their hardware",
    "kubernetes:nvidia.com/v1alpha1:NVIDIADriver": "its image and registry are judged with the pool",
}
"""Types without a namespace that a stack with classes may have."""

ELSEWHERE: dict[str, str] = {
    "kubernetes:cert-manager.io/v1:Certificate": "its names are judged",
    "kubernetes:cert-manager.io/v1:Issuer": "signs for its own namespace",
    "kubernetes:external-secrets.io/v1:ExternalSecret": _VAULT,
    "kubernetes:external-secrets.io/v1beta1:ExternalSecret": _VAULT,
    "kubernetes:keda.sh/v1alpha1:ScaledObject": "changes a number of replicas in its own namespace",
    "kubernetes:kueue.x-k8s.io/v1beta2:LocalQueue": "names the quota that pods of its namespace use",
    "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet": _WORKLOAD,
    "kubernetes:monitoring.coreos.com/v1:PodMonitor": _MONITORING,
    "kubernetes:monitoring.coreos.com/v1:PrometheusRule": "computes numbers and alerts from metrics",
    "kubernetes:monitoring.coreos.com/v1:ServiceMonitor": _MONITORING,
    "kubernetes:gateway.networking.k8s.io/v1:Gateway": "routes that lead to a class are judged",
    "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute": "routes that lead to a class are judged",
}
"""Types of custom resources in other namespaces whose controller acts on their own namespace only."""

BUILT_IN_GROUPS = frozenset(
    {"admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps"}
    | {
        "auditregistration.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "core",
    }
    | {"discovery.k8s.io", "events.k8s.io", "extensions", "flowcontrol.apiserver.k8s.io", "lifecycle.k8s.io"}
    | {"meta", "networking.k8s.io", "node.k8s.io", "policy", "rbac.authorization.k8s.io", "resource.k8s.io"}
    | {"scheduling.k8s.io", "settings.k8s.io", "storage.k8s.io", "storagemigration.k8s.io"}
)
"""API groups of Kubernetes itself. Its controllers act on a namespaced object in that object's namespace."""
NAMELESS_KINDS = frozenset(
    {"APIService", "AuditSink", "CSIDriver", "CSINode", "CertificateSigningRequest", "ClusterCIDR"}
    | {"ClusterRole", "ClusterRoleBinding", "ClusterTrustBundle", "CustomResourceDefinition", "DeviceClass"}
    | {"DeviceTaintRule", "FlowSchema", "IPAddress", "IngressClass", "MutatingAdmissionPolicy"}
    | {"MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration", "Namespace", "Node"}
    | {
        "PersistentVolume",
        "PodSecurityPolicy",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "ResourceClass",
    }
    | {"ResourcePoolStatusRequest", "ResourceSlice", "RuntimeClass", "ServiceCIDR", "Status", "StorageClass"}
    | {"StorageVersionMigration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    | {"ValidatingWebhookConfiguration", "VolumeAttachment", "VolumeAttributesClass"}
)
"""Kinds of these groups that have no namespace."""
ONLY_OF_COMPONENTS = frozenset(
    {
        "kubernetes:nfd.k8s-sigs.io/v1alpha1:NodeFeatureRule",
        "kubernetes:nvidia.com/v1alpha1:NVIDIADriver",
    }
)
"""Cluster-wide types that decide where a class's pods run, or what runs on their nodes. Others' are undecided."""
HARMLESS_BESIDE = frozenset(
    {
        "kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
        "kubernetes:core/v1:LimitRange",
        "kubernetes:core/v1:Namespace",
        "kubernetes:core/v1:ResourceQuota",
        "kubernetes:coordination.k8s.io/v1:Lease",
        "kubernetes:monitoring.coreos.com/v1:PodMonitor",
        "kubernetes:monitoring.coreos.com/v1:PrometheusRule",
        "kubernetes:monitoring.coreos.com/v1:ServiceMonitor",
        "kubernetes:policy/v1:PodDisruptionBudget",
    }
)
"""Types that others may add to the namespace of a class or a control plane: they bound, count, or are judged alone."""
CONTROL_NAMESPACES = frozenset(
    {"amazon-cloudwatch", "argo-cd", "argocd", "calico-system", "cert-manager", "cilium", "external-secrets"}
    | {"flux-system", "gatekeeper-system", "gpu-operator", "istio-system", "keda", "kueue-system", "kyverno"}
    | {"linkerd", "longhorn-system", "lws-system", "metallb-system", "node-feature-discovery", "nvidia"}
    | {"nvidia-gpu-operator", "rook-ceph", "spire", "tigera-operator", "trust-manager"}
)
"""Usual namespaces of controllers with power over every namespace."""
LOG_NAMESPACES = frozenset(
    {"cattle-logging-system", "elastic-system", "fluent", "fluent-bit", "fluentbit", "fluentd", "filebeat"}
    | {"logging", "logging-system", "loki", "promtail", "splunk", "vector"}
)
"""Usual namespaces of what reads the log of every pod."""
CONTROL_NAMESPACE_BEGINNINGS = ("kube-", "openshift-")
CONTROL_PLANE_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""Namespaces with the settings of DNS, proxies and nodes, which pods of every class use."""
CONTROL_PLANE_SETTINGS = (
    *(
        "aws-auth",
        "kube-",
        "kubeadm-",
        "kubelet-",
        "cluster-",
        "extension-apiserver-authentication",
        "nodelocal",
    ),
    *("amazon-vpc-cni", "aws-", "calico", "cilium", "cni-", "canal", "flannel", "multus", "antrea", "weave"),
    *(
        "containerd",
        "nvidia",
        "istio",
        "linkerd",
        "rke2-",
        "k3s-",
        "metrics-server",
        "konnectivity",
        "local-path",
    ),
)
"""Beginnings of ConfigMaps there that decide about nodes, networks, accounts or DNS. Others are a team's own."""
_DISK = frozenset({"type", "fsType", "csi.storage.k8s.io/fstype", "encrypted", "iops", "throughput"})
PROVISIONERS: dict[str, frozenset[str]] = {
    "ebs.csi.aws.com": _DISK | {"iopsPerGB", "allowAutoIOPSPerGBIncrease", "blockExpress", "blockSize"},
    "kubernetes.io/no-provisioner": frozenset(),
}
"""Drivers whose volumes are where their pods are, with the parameters that do not change the place."""

OTHER_PROVIDERS: dict[str, str] = {
    **{
        f"random:index/random{kind}:Random{kind}": "makes values, and calls nothing"
        for kind in (
            "Bytes",
            "Id",
            "Integer",
            "Password",
            "Pet",
            "Shuffle",
            "String",
            "Uuid",
            "Uuid4",
            "Uuid7",
        )
    },
    "tls:index/certRequest:CertRequest": "makes a request for a certificate, and calls nothing",
    "tls:index/locallySignedCert:LocallySignedCert": "makes a certificate, and calls nothing",
    "tls:index/privateKey:PrivateKey": "makes a key, and calls nothing",
    "tls:index/selfSignedCert:SelfSignedCert": "makes a certificate, and calls nothing",
    **{
        f"time:index/{kind.lower()}:{kind}": "waits, and calls nothing"
        for kind in ("Offset", "Rotating", "Sleep", "Static")
    },
}
"""Types of other providers that reach neither a cluster nor a cloud."""

COMPONENTS = frozenset(
    f"isthmus:index:{name}"
    for name in (
        *(
            "AdmissionGuard",
            "AuditSealer",
            "AuditTrail",
            "AwsRoles",
            "BedrockAccess",
            "Budgets",
            "Chat",
            "ClassNamespace",
        ),
        *("ClusterRoles", "DevicePluginConfigs", "EksCluster", "EksNodeGroup", "EmergencyAccesses"),
        *("FargateGateway", "GpuOperator", "GpuPool", "InferenceGateway", "InvocationLogging", "LlmPlatform"),
        *("MigLayouts", "ModelDoor", "ModelServer", "Network", "PrivateEndpoints", "RecordsIdentity"),
        *(
            "RecordsShare",
            "Reviews",
            "SageMakerAccess",
            "SageMakerEndpoint",
            "SealingEndpoint",
            "ServingAlarms",
            "SiteLink",
        ),
        *("TaskExecution", "TaskIdentity", "TrustAnchor", "UsageLoader", "Evaluator"),
        "WorkloadIdentity",
    )
)
"""Components of Isthmus. None of them is a resource of its own: their children are judged."""
ENGINE_TYPES = frozenset({"pulumi:pulumi:Stack", "pulumi:pulumi:StackReference"})
"""Types of the engine itself."""
PLACELESS_VOLUME_FIELDS = frozenset(
    {"claimRef", "capacity", "accessModes", "storageClassName", "volumeMode"}
    | {"mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy", "volumeAttributesClassName"}
)
"""Fields of a volume that do not say where its data is."""
INERT_ANNOTATIONS = ("pulumi.com/", "app.kubernetes.io/", "kubectl.kubernetes.io/last-applied-configuration")
"""Beginnings of annotations that no controller of a network, a cloud or an injector reads."""
NODE_LABELS = ("node-role.kubernetes.io/",)
"""Beginnings of labels of a node by which no controller, runtime or network decides anything about its pods."""
NAMESPACED_RESOURCES = frozenset(
    {
        "configmaps",
        "cronjobs",
        "daemonsets",
        "deployments",
        "endpoints",
        "endpointslices",
        "events",
        "ingresses",
    }
    | {
        "horizontalpodautoscalers",
        "jobs",
        "leases",
        "limitranges",
        "networkpolicies",
        "persistentvolumeclaims",
    }
    | {
        "poddisruptionbudgets",
        "pods",
        "replicasets",
        "replicationcontrollers",
        "resourcequotas",
        "rolebindings",
    }
    | {"roles", "secrets", "serviceaccounts", "services", "statefulsets"}
)
"""Resources of Kubernetes itself that are in a namespace, as rules of a webhook name them."""
