"""The AWS credential helper of a translator, which gets sessions of IAM Roles Anywhere with a certificate.

The helper (`aws_signing_helper serve`) presents the pod's certificate to IAM Roles Anywhere. It serves the sessions
on the pod's loopback, in the protocol of EC2's metadata service, which every AWS SDK supports. It reads certificate
and key for each session, so a rotation needs no restart. There is no access key.
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
"""Resources of the helper in each pod."""


class AwsIdentity(TypedDict):
    """How a translator's pods authenticate to AWS, and the role that they get."""

    trust_anchor_arn: pulumi.Input[str]
    """ARN of the trust anchor of the certificate's CA."""
    profile_arn: pulumi.Input[str]
    """ARN of the profile that limits the session."""
    role_arn: pulumi.Input[str]
    """The role that the pods assume."""
    region: str
    """Region of the trust anchor."""
    session_seconds: int
    """Duration of a session in seconds."""
    image: pulumi.Input[str]
    """Image with aws_signing_helper, by digest."""
    endpoint_url: NotRequired[pulumi.Input[str]]
    """URL of the private endpoint of IAM Roles Anywhere. Absent: its public name."""
    issuer: NotRequired[CertificateIssuer]
    """The cert-manager issuer of the pods' certificate."""
    certificate_secret: NotRequired[str]
    """TLS Secret of the organisation's PKI to use instead."""
    certificate_hours: NotRequired[int]
    """Validity of the certificate in hours (default 24). cert-manager renews it in the last third."""


@dataclass(frozen=True)
class Helper:
    """What a pod needs to run the helper."""

    containers: list[dict[str, Any]] = field(default_factory=list)
    """Native sidecars: init containers that keep running."""
    volumes: list[dict[str, Any]] = field(default_factory=list)
    variables: list[dict[str, str]] = field(default_factory=list)
    """Variables of the container that uses the identity."""
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
    """The sidecar, its certificate, and the variables with which the SDK finds it."""
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
        # Starts before the translator, and ends after it.
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
        # Only the helper: no shared credentials file, no environment, no other metadata service.
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    return Helper(
        [container],
        [volume],
        [{"name": key, "value": value} for key, value in variables.items()],
        resources,
    )
