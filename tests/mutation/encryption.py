"""Faults in encryption, at rest and in transit."""

from __future__ import annotations

from typing import Any

from tests.broken_graphs.parts import CONFIGS, CONFIGURED, POLICY
from tests.mutation.shapes import Context, Family

FAMILY = Family("encryption")
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


@FAMILY.drops("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
def bucket_that_nobody_encrypts_with_our_key(inputs: Any, context: Context) -> None:
    """The encryption of a bucket is left out, so AWS encrypts with a key of its own."""


@FAMILY.changes(
    "aws:s3/bucketPolicy:BucketPolicy", lens=POLICY, where=lambda statements, _: tls_only(statements)
)
def bucket_without_tls(statements: Any, context: Context) -> None:
    """A bucket takes requests that come without TLS."""
    statements.remove(tls_only(statements))


@FAMILY.changes(
    "aws:sns/topicPolicy:TopicPolicy", lens=POLICY, where=lambda statements, _: tls_only(statements)
)
def topic_without_tls(statements: Any, context: Context) -> None:
    """A topic takes alarms that come without TLS."""
    statements.remove(tls_only(statements))


def tls_only(statements: list[dict[str, Any]]) -> dict[str, Any] | None:
    return next(
        (statement for statement in statements if "aws:SecureTransport" in str(statement.get("Condition"))),
        None,
    )


@FAMILY.drops(BLOCK, also=["data-path", "identity", "audit"])
def bucket_that_may_be_made_public(inputs: Any, context: Context) -> None:
    """What keeps a bucket from ever being public is left out."""


@FAMILY.changes(BLOCK, also=["data-path", "identity", "audit"])
def bucket_whose_policy_may_be_public(inputs: Any, context: Context) -> None:
    """A bucket may get a policy that lets the public in."""
    inputs.update(blockPublicPolicy=False, restrictPublicBuckets=False)


@FAMILY.changes("aws:cloudwatch/logGroup:LogGroup", where=lambda inputs, _: "kmsKeyId" in inputs)
def log_without_our_key(inputs: Any, context: Context) -> None:
    """A log group is not encrypted with a key of ours."""
    del inputs["kmsKeyId"]


@FAMILY.changes("aws:sns/topic:Topic", where=lambda inputs, _: "kmsMasterKeyId" in inputs)
def topic_without_our_key(inputs: Any, context: Context) -> None:
    """A topic of alarms is encrypted with a key of Amazon's own."""
    inputs["kmsMasterKeyId"] = "alias/aws/sns"


@FAMILY.changes("aws:cloudtrail/trail:Trail", where=lambda inputs, _: "kmsKeyId" in inputs, also=["audit"])
def trail_without_our_key(inputs: Any, context: Context) -> None:
    """The files of the audit trail are not encrypted with a key of ours."""
    del inputs["kmsKeyId"]


@FAMILY.changes("aws:kms/key:Key", lens=POLICY, also=["identity"])
def key_for_everybody(statements: Any, context: Context) -> None:
    """The policy of a key lets everybody decrypt with it."""
    grant = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["kms:Decrypt"], "Resource": "*"}
    statements.append({"Sid": "Partners", **grant})


@FAMILY.changes("aws:eks/cluster:Cluster", where=lambda inputs, _: "encryptionConfig" in inputs)
def cluster_whose_secrets_are_plain(inputs: Any, context: Context) -> None:
    """The secrets of a cluster are not sealed with a key of ours."""
    del inputs["encryptionConfig"]


@FAMILY.changes(TEMPLATE, where=lambda inputs, _: volumes(inputs))
def disk_that_is_not_encrypted(inputs: Any, context: Context) -> None:
    """The disks of machines are not encrypted."""
    for volume in volumes(inputs):
        volume["encrypted"] = "false"
        volume.pop("kmsKeyId", None)


@FAMILY.changes(TEMPLATE, where=lambda inputs, _: any("kmsKeyId" in volume for volume in volumes(inputs)))
def disk_without_our_key(inputs: Any, context: Context) -> None:
    """The disks of machines are encrypted with a key of Amazon's own."""
    for volume in volumes(inputs):
        volume.pop("kmsKeyId", None)


def volumes(inputs: Any) -> list[dict[str, Any]]:
    return [mapping["ebs"] for mapping in inputs.get("blockDeviceMappings") or [] if "ebs" in mapping]


@FAMILY.changes(
    *CONFIGURED,
    lens=CONFIGS,
    where=lambda config, _: config["class"] != "public" and "client_ca" in config.get("listen", {}),
    also=["data-path", "identity"],
)
def door_without_client_certificates(config: Any, context: Context) -> None:
    """A gateway, translator or sidecar demands no certificate of its callers."""
    del config["listen"]["client_ca"]


@FAMILY.changes(":Certificate")
def certificate_that_never_changes(inputs: Any, context: Context) -> None:
    """A certificate is good for ten years and keeps its private key."""
    inputs["spec"].update(duration="87600h0m0s", renewBefore="720h0m0s")
    inputs["spec"]["privateKey"]["rotationPolicy"] = "Never"


@FAMILY.changes("aws:ec2/vpnConnection:VpnConnection", also=["data-path"])
def tunnel_with_old_cryptography(inputs: Any, context: Context) -> None:
    """A tunnel of the private link takes IKEv1, SHA-1 and a group of 1,024 bits."""
    inputs.update(
        tunnel1IkeVersions=["ikev1"],
        tunnel1Phase1DhGroupNumbers=[2],
        tunnel1Phase1EncryptionAlgorithms=["AES128"],
        tunnel1Phase1IntegrityAlgorithms=["SHA1"],
    )


@FAMILY.changes("aws:sagemaker/endpointConfiguration:EndpointConfiguration", also=["audit", "data-path"])
def answers_captured_without_our_key(inputs: Any, context: Context) -> None:
    """All prompts and answers of a model on SageMaker are kept in a bucket, under no key of ours."""
    inputs["dataCaptureConfig"] = {
        "enableCapture": True,
        "initialSamplingPercentage": 100,
        "destinationS3Uri": "s3://captured/prompts",
        "captureOptions": [{"captureMode": "Input"}, {"captureMode": "Output"}],
    }
