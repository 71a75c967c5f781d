"""Twenty faults of all families, written before the policies, so that no policy was made to fit them.

They do not change. A missed fault is a defect of the policies.
"""

from __future__ import annotations

from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.parts import BOXES, CLASS, CONFIGS, CONFIGURED, PODS, POLICY, WORKLOADS
from tests.broken_graphs.resources import beside
from tests.mutation.shapes import Context, Family

data_path, encryption, identity, audit = map(Family, ("data-path", "encryption", "identity", "audit"))
workload, cost, reliability, release = map(Family, ("workload", "cost", "reliability", "release"))
FAMILIES = (data_path, encryption, identity, audit, workload, cost, reliability, release)

CLOSED = ("internal", "confidential", "restricted")
"""Classes whose data never goes over the internet."""


@data_path.changes(":NetworkPolicy", where=lambda _, context: context.class_ in CLOSED)
def way_out_to_any_address(inputs: Any, context: Context) -> None:
    """A network policy lets the pods that it selects call any address on 443."""
    spec = inputs["spec"]
    anywhere = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443, "protocol": "TCP"}]}
    spec["egress"] = [*spec.get("egress", []), anywhere]
    spec["policyTypes"] = sorted({*spec["policyTypes"], "Egress"})


@data_path.changes(
    *CONFIGURED,
    lens=CONFIGS,
    where=lambda config, _: (config["mode"], config["class"]) == ("gateway", "restricted"),
)
def cloud_model_in_the_restricted_gateway(config: Any, context: Context) -> None:
    """A route of the restricted gateway leads to a model of Amazon Bedrock."""
    host = "bedrock-runtime.eu-central-1.amazonaws.com"
    config["routes"][0].update(url=f"https://{host}:443", server_name=host, model="amazon.nova-lite-v1:0")


@data_path.changes(
    "aws:bedrock/inferenceProfile:InferenceProfile",
    where=lambda inputs, context: (
        context.class_ in CLOSED and "inference-profile/eu." in str(inputs["modelSource"])
    ),
)
def profile_that_leaves_every_region(inputs: Any, context: Context) -> None:
    """A workload's inference profile is copied from a `global.` one, which answers from any region."""
    source = inputs["modelSource"]
    source["copyFrom"] = source["copyFrom"].replace("inference-profile/eu.", "inference-profile/global.")


@data_path.adds("aws:ec2/routeTable:RouteTable")
def way_to_the_internet(inputs: Any, context: Context) -> list[Resource]:
    """A private network gets an internet gateway and a default route to it."""
    name = f"{context.resource.name}-internet"
    gateway = beside(
        context.resource,
        "aws:ec2/internetGateway:InternetGateway",
        name,
        {"vpcId": inputs["vpcId"], "tags": inputs["tags"]},
    )
    route = {
        "routeTableId": f"${{{context.resource.name}.id}}",
        "destinationCidrBlock": "0.0.0.0/0",
        "gatewayId": f"${{{name}.id}}",
    }
    return [gateway, beside(context.resource, "aws:ec2/route:Route", f"{name}-route", route)]


@data_path.changes(
    ":Deployment",
    ":LeaderWorkerSet",
    lens=PODS,
    where=lambda pod, _: "isthmus.dev/endpoint" in pod["metadata"]["labels"],
)
def endpoint_labelled_with_another_class(pod: Any, context: Context) -> None:
    """The pods of a model bear the label of another class than their namespace's."""
    labels = pod["metadata"]["labels"]
    labels[CLASS] = context.rng.choice(
        [new_class for new_class in ("public", *CLOSED) if new_class != labels[CLASS]]
    )


@encryption.changes("aws:kms/key:Key", where=lambda inputs, _: inputs.get("enableKeyRotation"))
def key_that_is_not_rotated(inputs: Any, context: Context) -> None:
    """The rotation of a key is switched off."""
    inputs["enableKeyRotation"] = False


@encryption.changes(":BucketServerSideEncryptionConfiguration")
def bucket_under_a_key_of_aws(inputs: Any, context: Context) -> None:
    """A bucket is encrypted with a key of Amazon's own in place of ours."""
    inputs["rules"] = [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]


@encryption.changes(
    ":Deployment",
    ":LeaderWorkerSet",
    lens=BOXES,
    where=lambda container, _: "--host=127.0.0.1" in container.get("args", []),
)
def model_that_listens_without_tls(container: Any, context: Context) -> None:
    """A model server listens on all of its pod's addresses, past the sidecar that demands certificates."""
    container["args"] = [
        "--host=0.0.0.0" if argument == "--host=127.0.0.1" else argument for argument in container["args"]
    ]


@identity.changes("aws:iam/rolePolicy:RolePolicy", lens=POLICY)
def role_that_may_use_all_of_bedrock(statements: Any, context: Context) -> None:
    """A role may do everything in Bedrock, on everything."""
    statements.append({"Sid": "Convenience", "Effect": "Allow", "Action": "bedrock:*", "Resource": "*"})


@identity.adds("aws:ec2/vpc:Vpc")
def long_lived_access_key(inputs: Any, context: Context) -> list[Resource]:
    """A user with an access key is made, for jobs that cannot get a session."""
    user = beside(
        context.resource, "aws:iam/user:User", "batch-user", {"name": "batch", "tags": inputs["tags"]}
    )
    key = {"user": "${batch-user.name}", "status": "Active"}
    return [user, beside(context.resource, "aws:iam/accessKey:AccessKey", "batch-key", key)]


@identity.changes("aws:iam/role:Role", where=lambda inputs, _: "permissionsBoundary" in inputs)
def role_without_a_boundary(inputs: Any, context: Context) -> None:
    """The permissions boundary of a role is taken away."""
    del inputs["permissionsBoundary"]


@audit.changes("aws:cloudtrail/trail:Trail")
def trail_that_is_stopped(inputs: Any, context: Context) -> None:
    """The audit trail is there and does not log."""
    inputs["enableLogging"] = False


@audit.changes(":BucketObjectLockConfiguration")
def records_that_an_administrator_may_erase(inputs: Any, context: Context) -> None:
    """The lock of the audit bucket is in GOVERNANCE mode, which whoever has the right may pass by."""
    inputs["rule"]["defaultRetention"]["mode"] = "GOVERNANCE"


@audit.drops("aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration")
def model_calls_that_nobody_records(inputs: Any, context: Context) -> None:
    """The recording of model calls in a region is taken out."""


@workload.changes(*WORKLOADS, lens=PODS)
def pod_as_root(pod: Any, context: Context) -> None:
    """A pod and its containers run as root."""
    spec = pod["spec"]
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        container.get("securityContext", {}).pop("runAsNonRoot", None)
    spec["securityContext"] |= {"runAsNonRoot": False, "runAsUser": 0}


@workload.changes(*WORKLOADS, lens=PODS)
def pod_with_a_folder_of_its_node(pod: Any, context: Context) -> None:
    """A folder of the node is mounted into a pod."""
    spec = pod["spec"]
    spec.setdefault("volumes", []).append(
        {"name": "node", "hostPath": {"path": "/var/lib", "type": "Directory"}}
    )
    spec["containers"][0].setdefault("volumeMounts", []).append({"name": "node", "mountPath": "/node"})


@workload.changes(
    *WORKLOADS, lens=BOXES, where=lambda container, _: "@sha256:" in container["image"], also=["release"]
)
def image_by_a_tag(container: Any, context: Context) -> None:
    """A container's image is named by a tag, which can be moved."""
    container["image"] = f"{container['image'].partition('@')[0]}:latest"


@cost.drops(":ResourceQuota")
def namespace_without_a_quota(inputs: Any, context: Context) -> None:
    """The quota of a class's namespace is taken away."""


def guards_several(_: Any, context: Context) -> bool:
    return any(workload.inputs["spec"]["replicas"] > 1 for workload in context.selected)


@reliability.drops(":PodDisruptionBudget", where=guards_several)
def drain_that_takes_every_replica(inputs: Any, context: Context) -> None:
    """The disruption budget of a workload is taken away, so a drain may end all of its pods at once."""


@release.changes(
    ":Deployment",
    ":LeaderWorkerSet",
    lens=PODS,
    where=lambda pod, _: "isthmus.dev/weights-digest" in _notes(pod),
)
def weights_without_a_digest(pod: Any, context: Context) -> None:
    """The digest of the released weights is taken off the pods that serve them."""
    del pod["metadata"]["annotations"]["isthmus.dev/weights-digest"]


def _notes(pod: Any) -> Any:
    return pod["metadata"].get("annotations") or {}
