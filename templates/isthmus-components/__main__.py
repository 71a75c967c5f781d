"""A GPU pool and a model server, from the components of Isthmus."""

import pulumi
import pulumi_kubernetes

from components import ClassNamespace, GpuPool, ModelServer

config = pulumi.Config()
cluster = pulumi_kubernetes.Provider(
    "cluster",
    kubeconfig=config.require("kubeconfig"),
    context=config.require("context"),
    enable_server_side_apply=True,
)
there = pulumi.ResourceOptions(providers=[cluster])

space = ClassNamespace(
    "internal",
    {"sensitivity": "internal", "quota": {"pods": "20", "requests.nvidia.com/gpu": "4"}},
    there,
)
pool = GpuPool(
    "gpus",
    {
        "name": "gpus",
        "product": "NVIDIA-L40S",
        "nodes": 1,
        "gpus_per_node": 2,
        "node_names": [config.require("node")],
        "classes": ["internal"],
        "gpu_operator": "existing",
        "kueue": "existing",
    },
    pulumi.ResourceOptions(providers=[cluster], depends_on=[space]),
)
# Of made-up digests: put yours in.
model = ModelServer(
    "tickets",
    {
        "id": "qwen3-14b",
        "sensitivity": "internal",
        "model": "Qwen/Qwen3-14B",
        "weights": {
            "uri": "oci://registry.example/weights/qwen3-14b@sha256:" + 64 * "c",
            "digest": "sha256:" + 64 * "c",
        },
        "product": "NVIDIA-L40S",
        "pool": "gpus",
        "queue": "gpus",
        "replicas": 1,
        "max_model_len": 8192,
        "vllm_image": "registry.example/vllm/vllm-openai@sha256:" + 64 * "b",
        "edge_image": "registry.example/isthmus/edge@sha256:" + 64 * "a",
        "issuer": {"name": "internal-ca", "kind": "ClusterIssuer"},
        "monitoring_namespace": "monitoring",
        "pod_monitors": False,
    },
    pulumi.ResourceOptions(providers=[cluster], depends_on=[pool]),
)

pulumi.export("queue", pool.queue)
pulumi.export("service", model.service)
