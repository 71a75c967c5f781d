"""Rules for encryption at rest: our own KMS keys, which rotate, for every store."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.graph.resources.resources import Graph, Resource
from policies.inputs.access_logs import takes_only_access_logs
from policies.inputs.links import referenced_resources
from policies.inputs.selectors import resources_where
from policies.inputs.values import at, is_true, is_unknown, require, require_value
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_KEY = "aws:kms/key:Key"
BUCKETS = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
_BUCKET_ENCRYPTION = (
    ":BucketServerSideEncryptionConfiguration",
    ":BucketServerSideEncryptionConfigurationV2",
)
_STORES = {
    "aws:efs/fileSystem:FileSystem": ("encrypted", "kmsKeyId"),
    "aws:ebs/volume:Volume": ("encrypted", "kmsKeyId"),
    "aws:rds/instance:Instance": ("storageEncrypted", "kmsKeyId"),
    "aws:rds/cluster:Cluster": ("storageEncrypted", "kmsKeyId"),
    "aws:secretsmanager/secret:Secret": ("", "kmsKeyId"),
    "aws:sqs/queue:Queue": ("", "kmsMasterKeyId"),
    "aws:dynamodb/table:Table": ("", "serverSideEncryption.kmsKeyArn"),
    "aws:ecr/repository:Repository": ("", "encryptionConfigurations.0.kmsKey"),
    "aws:opensearch/domain:Domain": ("encryptAtRest.enabled", "encryptAtRest.kmsKeyId"),
    "aws:fsx/lustreFileSystem:LustreFileSystem": ("", "kmsKeyId"),
}
"""By type: the property that enables encryption (empty: always on), and the property of the key."""
_DISKS = "aws:ec2/launchTemplate:LaunchTemplate"
_CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
_NVME_INSTANCES = (
    *("ml.g4dn.", "ml.g5.", "ml.g6.", "ml.g6e.", "ml.gr6.", "ml.g7e.", "ml.p4d.", "ml.p4de.", "ml.p5."),
    *("ml.p5e.", "ml.p5en.", "ml.p6-", "ml.trn1", "ml.trn2", "ml.inf1.", "ml.c5d.", "ml.m5d.", "ml.r5d."),
)
"""Instance types with local NVMe disks, which the hardware encrypts: AWS rejects a key for them."""


def attached(graph: Graph, bucket: Resource, *kinds: str) -> list[Resource]:
    """Resources of these types that configure a bucket, by reference or by the bucket's name."""
    name = bucket.inputs.get("bucket")
    return [
        resource
        for resource in graph.of(*kinds)
        if bucket in referenced_resources(graph, resource, "bucket", bucket.type)
        or (name is not None and resource.inputs.get("bucket") == name)
    ]


def _check_keys_rotate(subject: Subject) -> Iterator[Violation]:
    most = subject.settings.figures.key_rotation_days_max
    for key in subject.graph.of(_KEY):
        # Only keys for encryption can rotate automatically.
        if key.inputs.get("keyUsage", "ENCRYPT_DECRYPT") != "ENCRYPT_DECRYPT":
            continue
        yield from require(key, "enableKeyRotation", is_true, "does not rotate", "enable_key_rotation=True")
        yield from require(
            key,
            "rotationPeriodInDays",
            lambda days: days is None or days <= most,
            f"rotates less often than every {most} days",
        )


def _encrypts(key: Resource) -> bool:
    return key.inputs.get("keyUsage", "ENCRYPT_DECRYPT") == "ENCRYPT_DECRYPT"


def _check_keys_usable(subject: Subject) -> Iterator[Violation]:
    for key in subject.graph.of(_KEY):
        yield from require(key, "isEnabled", lambda on: on is not False, "is disabled")
        yield from require(
            key,
            "bypassPolicyLockoutSafetyCheck",
            lambda on: on is not True,
            "accepts a key policy that locks everybody out",
        )


def _check_buckets(subject: Subject) -> Iterator[Violation]:
    for bucket in subject.graph.of(*BUCKETS):
        configurations = [
            resource.inputs for resource in attached(subject.graph, bucket, *_BUCKET_ENCRYPTION)
        ]
        inline = at(bucket.inputs, "serverSideEncryptionConfiguration")
        rules = [rule for inputs in configurations for rule in inputs.get("rules") or []]
        if isinstance(inline, dict):
            rules += inline.get("rules") or ([inline["rule"]] if inline.get("rule") else [])
        if not rules:
            yield Violation(f"{bucket.name} is encrypted with a key that AWS manages", bucket)
        for rule in rules:
            kind = at(rule, "applyServerSideEncryptionByDefault.sseAlgorithm")
            key = at(rule, "applyServerSideEncryptionByDefault.kmsMasterKeyId")
            if is_unknown(kind):
                yield Violation(f"the encryption of {bucket.name} is not known yet", bucket, "undecided")
            elif kind == "AES256" and takes_only_access_logs(subject, bucket):
                continue  # S3 delivers its access logs to no other kind of bucket
            elif not str(kind).startswith("aws:kms") or not key or "alias/aws/" in str(key):
                yield Violation(f"{bucket.name} is encrypted with a key that AWS manages", bucket)


def _check_log_groups(subject: Subject) -> Iterator[Violation]:
    for group in subject.graph.of("aws:cloudwatch/logGroup:LogGroup"):
        yield from require_value(group, "kmsKeyId", "is not encrypted with our own key", "kms_key_id=key.arn")


def _check_topics(subject: Subject) -> Iterator[Violation]:
    for topic in subject.graph.of("aws:sns/topic:Topic"):
        key = topic.inputs.get("kmsMasterKeyId")
        if not key or "alias/aws/" in str(key):
            yield Violation(f"{topic.name} is not encrypted with our own key", topic)


def _check_trails(subject: Subject) -> Iterator[Violation]:
    for trail in subject.graph.of("aws:cloudtrail/trail:Trail"):
        yield from require_value(trail, "kmsKeyId", "is not encrypted with our own key", "kms_key_id=key.arn")


def _check_stores(subject: Subject) -> Iterator[Violation]:
    for store in subject.graph.of(*_STORES):
        encrypted, key = _STORES[store.type]
        if encrypted:
            yield from require(store, encrypted, is_true, "is not encrypted")
        if not at(store.inputs, key) or "alias/aws/" in str(at(store.inputs, key)):
            yield Violation(f"{store.name} is not encrypted with our own key", store)


def _check_disks(subject: Subject) -> Iterator[Violation]:
    for template in subject.graph.of(_DISKS):
        mappings = template.inputs.get("blockDeviceMappings")
        if is_unknown(mappings):
            yield Violation(f"the disks of {template.name} are not known yet", template, "undecided")
            continue
        disks = [at(mapping, "ebs") for mapping in mappings or [] if at(mapping, "ebs")]
        if not disks:
            yield Violation(
                f"{template.name} defines no disks, so the account's default decides about encryption",
                template,
            )
        for disk in disks:
            is_encrypted = at(disk, "encrypted")
            if is_unknown(is_encrypted):
                yield Violation(
                    f"whether disks of {template.name} are encrypted is not known", template, "undecided"
                )
            elif str(is_encrypted).lower() != "true" or not at(disk, "kmsKeyId"):
                yield Violation(f"a disk of {template.name} is not encrypted with our own key", template)
    for group in subject.graph.of("aws:eks/nodeGroup:NodeGroup"):
        if not group.inputs.get("launchTemplate"):
            yield Violation(f"disks of machines in {group.name} are not encrypted with our own key", group)


def _check_clusters(subject: Subject) -> Iterator[Violation]:
    for cluster in subject.graph.of("aws:eks/cluster:Cluster"):
        config = at(cluster.inputs, "encryptionConfig")
        if is_unknown(config):
            yield Violation(f"{cluster.name}: encryptionConfig is not known yet", cluster, "undecided")
        elif not at(config, "provider.keyArn") or "secrets" not in (at(config, "resources") or []):
            yield Violation(f"secrets of {cluster.name} are not encrypted with our own key", cluster)


def _check_endpoint_disks(subject: Subject) -> Iterator[Violation]:
    for config in subject.graph.of(_CONFIG):
        if config.inputs.get("kmsKeyArn"):
            continue
        for variant in config.inputs.get("productionVariants") or []:
            kind = at(variant, "instanceType")
            if is_unknown(kind):
                yield Violation(f"the instance type of {config.name} is not known yet", config, "undecided")
            elif kind and not str(kind).startswith(_NVME_INSTANCES):
                yield Violation(f"disks of {config.name} ({kind}) are not encrypted with our own key", config)


def _has_encryptable_disks(config: Resource) -> bool:
    instance_types = [
        str(at(variant, "instanceType")) for variant in config.inputs.get("productionVariants") or []
    ]
    return bool(config.inputs.get("kmsKeyArn")) or any(
        not instance_type.startswith(_NVME_INSTANCES) for instance_type in instance_types
    )


_AT_REST = (*fw.nist("SC-28(1)"), *fw.pci("3.5.1"), *fw.iso_27001("A.8.24"), *fw.dora("Art. 9(2)"))
RULES = (
    Rule(
        id="encryption/keys-rotate",
        title="KMS keys rotate",
        severity="high",
        supports=(
            *fw.fsbp("KMS.4"),
            *fw.cis_aws("4.6"),
            *fw.nist("SC-12"),
            *fw.pci("3.7.4"),
            *fw.iso_27001("A.8.24"),
            *fw.dora("Art. 9(4)(d)"),
        ),
        why="A key that never rotates, once leaked, decrypts everything that it ever encrypted",
        fix="Set enableKeyRotation on the key",
        check=_check_keys_rotate,
        resource_types=(_KEY,),
        applies_to=resources_where(_encrypts, _KEY),
    ),
    Rule(
        id="encryption/keys-stay",
        title="KMS keys stay usable",
        severity="medium",
        supports=(*fw.nist("SC-12(1)"), *fw.iso_27001("A.8.24")),
        why="Without its key the audit trail cannot be read",
        fix="Remove isEnabled: false and bypassPolicyLockoutSafetyCheck",
        check=_check_keys_usable,
        resource_types=(_KEY,),
    ),
    Rule(
        id="encryption/buckets-our-key",
        title="Buckets are encrypted with our own KMS keys",
        severity="high",
        supports=_AT_REST,
        why="With a key that AWS manages, no key policy limits who can read the bucket",
        fix="Add a BucketServerSideEncryptionConfiguration with sseAlgorithm aws:kms and our key",
        check=_check_buckets,
        resource_types=BUCKETS,
    ),
    Rule(
        id="encryption/logs-our-key",
        title="Log groups are encrypted with our own KMS keys",
        severity="medium",
        supports=_AT_REST,
        why="Logs are as sensitive as what they describe",
        fix="Set kmsKeyId on the log group",
        check=_check_log_groups,
        resource_types=("aws:cloudwatch/logGroup:LogGroup",),
    ),
    Rule(
        id="encryption/topics-our-key",
        title="Topics are encrypted with our own KMS keys",
        severity="medium",
        supports=_AT_REST,
        why="An alarm message can contain sensitive details",
        fix="Set kmsMasterKeyId of the topic to our own key",
        check=_check_topics,
        resource_types=("aws:sns/topic:Topic",),
    ),
    Rule(
        id="encryption/trail-our-key",
        title="The trail is encrypted with our own KMS key",
        severity="high",
        supports=(*fw.fsbp("CloudTrail.2"), *fw.cis_aws("4.5"), *_AT_REST),
        why="The records show who called which model and when",
        fix="Set kmsKeyId on the trail",
        check=_check_trails,
        resource_types=("aws:cloudtrail/trail:Trail",),
    ),
    Rule(
        id="encryption/stores-our-key",
        title="File systems, databases, queues, secrets and registries are encrypted with our own KMS keys",
        severity="high",
        supports=_AT_REST,
        why="Caches, review queues and retrieval stores hold the contents of prompts",
        fix="Enable encryption and set our own key",
        check=_check_stores,
        resource_types=tuple(_STORES),
    ),
    Rule(
        id="encryption/disks-our-key",
        title="Disks of machines are encrypted with our own KMS keys",
        severity="high",
        supports=_AT_REST,
        why="A node's disk holds weights, images and what pods wrote",
        fix="Set ebs: {encrypted: true, kmsKeyId} in the launch template",
        check=_check_disks,
        resource_types=(_DISKS, "aws:eks/nodeGroup:NodeGroup"),
    ),
    Rule(
        id="encryption/cluster-secrets",
        title="Secrets of a cluster are encrypted with our own KMS key",
        severity="high",
        supports=(*fw.fsbp("EKS.3"), *_AT_REST),
        why="The cluster's store holds certificates and callers' keys",
        fix="Set encryptionConfig: {provider: {keyArn}, resources: [secrets]}",
        check=_check_clusters,
        resource_types=("aws:eks/cluster:Cluster",),
    ),
    Rule(
        id="encryption/endpoint-disks",
        title="Disks of SageMaker machines are encrypted with our own KMS key",
        severity="medium",
        supports=(*fw.checkov("CKV_AWS_98"), *_AT_REST),
        why="They hold weights and what the model writes; machines with local NVMe disks encrypt these in hardware",
        fix="Set kmsKeyArn on the endpoint's configuration",
        check=_check_endpoint_disks,
        resource_types=(_CONFIG,),
        applies_to=resources_where(_has_encryptable_disks, _CONFIG),
    ),
)
