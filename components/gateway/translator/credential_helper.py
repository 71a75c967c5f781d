"""The AWS credential helper beside a translator: sessions of IAM Roles Anywhere by certificate.

The helper (`aws_signing_helper serve`) shows the pod's certificate to IAM Roles Anywhere and serves the
sessions that it gets on the pod's loopback, in the protocol of EC2's metadata service, which every AWS SDK
speaks. It reads certificate and key anew for each session, so a rotation needs no restart. There is no
access key anywhere.
"""

from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.certificates import CertificateIssuer, identity_certificate
from components.cluster.pod_defaults import container_security, guaranteed_resources
from components.gateway.translator.proxy import NO_PROXY, Outbound

PORT = 9911
_MOUNT = "/etc/isthmus/identity"


CPU, MEMORY = "100m", "64Mi"
"""Of the helper beside each copy."""


class AwsIdentity(TypedDict):
    """What a translator's pods show to AWS, and what they become."""

    trust_anchor_arn: pulumi.Input[str]
    """The trust anchor that vouches for the certificate."""
    profile_arn: pulumi.Input[str]
    """The profile that bounds the session."""
    role_arn: pulumi.Input[str]
    """The role that the pods assume."""
    region: str
    """Region of the trust anchor."""
    session_seconds: int
    """How long a session lasts."""
    image: pulumi.Input[str]
    """Image that holds aws_signing_helper, by digest."""
    endpoint_url: NotRequired[pulumi.Input[str]]
    """Private endpoint of IAM Roles Anywhere; absent: its public name."""
    issuer: NotRequired[CertificateIssuer]
    """The cert-manager issuer that signs the pods' certificate."""
    certificate_secret: NotRequired[str]
    """A TLS Secret of the organisation's PKI in place of it."""
    certificate_hours: NotRequired[int]
    """How long the certificate holds (default 24); cert-manager renews it when a third is left."""


@dataclass(frozen=True)
class Helper:
    """What a pod needs for it."""

    containers: list[dict[str, Any]] = field(default_factory=list)
    """Native sidecars: init containers that go on running."""
    volumes: list[dict[str, Any]] = field(default_factory=list)
    variables: list[dict[str, str]] = field(default_factory=list)
    """Of the container that uses the identity."""
    dependencies: list[pulumi.Resource] = field(default_factory=list)


NO_HELPER = Helper()


def credential_helper(
    name: str,
    service: str,
    namespace: str,
    own_labels: dict[str, str],
    identity: AwsIdentity,
    opts: pulumi.ResourceOptions,
    way_out: Outbound = NO_PROXY,
) -> Helper:
    """The sidecar, its certificate and the variables by which the SDK finds it."""
    secret, resources = identity_certificate(
        name,
        service,
        namespace,
        own_labels,
        opts,
        issuer=identity.get("issuer"),
        secret=identity.get("certificate_secret"),
        hours=identity.get("certificate_hours", 24),
    )
    command: list[Any] = [
        *("aws_signing_helper", "serve", "--port", str(PORT), "--hop-limit", "1"),
        *("--certificate", f"{_MOUNT}/tls.crt", "--private-key", f"{_MOUNT}/tls.key"),
        *("--trust-anchor-arn", identity["trust_anchor_arn"]),
        *("--profile-arn", identity["profile_arn"], "--role-arn", identity["role_arn"]),
        *("--region", identity["region"], "--session-duration", str(identity["session_seconds"])),
    ]
    if "endpoint_url" in identity:
        command += ["--endpoint", identity["endpoint_url"]]
    command += way_out.arguments
    container: dict[str, Any] = {
        "name": "aws-identity",
        "image": identity["image"],
        "command": command,
        # Started before the translator and ended after it, as long as the pod lives.
        "restartPolicy": "Always",
        "volumeMounts": [{"name": "identity", "mountPath": _MOUNT, "readOnly": True}, *way_out.mounts],
        "resources": guaranteed_resources(CPU, MEMORY),
        "securityContext": container_security(),
        **({"env": way_out.variables} if way_out.variables else {}),
    }
    volume = {"name": "identity", "secret": {"secretName": secret, "defaultMode": 0o440}}
    variables = {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{PORT}",
        "AWS_EC2_METADATA_DISABLED": "false",
        # Nothing but the helper: no shared file, no environment, no other metadata service.
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    return Helper(
        [container],
        [volume],
        [{"name": key, "value": value} for key, value in variables.items()],
        resources,
    )
