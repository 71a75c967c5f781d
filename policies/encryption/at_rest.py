"""Encryption at rest: with keys of ours, which rotate."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.graph.resources.resources import Graph, Resource
from policies.inputs.links import referred
from policies.inputs.values import at, true, unknown, wants, wants_one
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_KEY = "aws:kms/key:Key"
BUCKETS = ("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
_SEALS = (
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
"""Where each says that it is encrypted, and with which key."""
_DISKS = "aws:ec2/launchTemplate:LaunchTemplate"
_CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
OWN_DISKS = (
    *("ml.g4dn.", "ml.g5.", "ml.g6.", "ml.g6e.", "ml.gr6.", "ml.g7e.", "ml.p4d.", "ml.p4de.", "ml.p5."),
    *("ml.p5e.", "ml.p5en.", "ml.p6-", "ml.trn1", "ml.trn2", "ml.inf1.", "ml.c5d.", "ml.m5d.", "ml.r5d."),
)
"""Machines with local NVMe disks, which their hardware seals: for them AWS refuses a key."""


def attached(graph: Graph, bucket: Resource, *kinds: str) -> list[Resource]:
    """Resources of these kinds that speak of a bucket, by reference or by its own name."""
    name = bucket.inputs.get("bucket")
    return [
        each
        for each in graph.of(*kinds)
        if bucket in referred(graph, each, "bucket", bucket.type)
        or (name is not None and each.inputs.get("bucket") == name)
    ]


def _keys_rotate(subject: Subject) -> Iterator[Broken]:
    most = subject.settings.figures.key_rotation_days_max
    for key in subject.graph.of(_KEY):
        # A key that signs, or one of several regions' or of material of one's own, cannot rotate by itself.
        if key.inputs.get("keyUsage", "ENCRYPT_DECRYPT") != "ENCRYPT_DECRYPT":
            continue
        yield from wants(key, "enableKeyRotation", true, "does not rotate", "enable_key_rotation=True")
        yield from wants(
            key,
            "rotationPeriodInDays",
            lambda days: days is None or days <= most,
            f"rotates later than every {most} days",
        )


def _keys_stay(subject: Subject) -> Iterator[Broken]:
    for key in subject.graph.of(_KEY):
        yield from wants(key, "isEnabled", lambda on: on is not False, "is switched off")
        yield from wants(
            key,
            "bypassPolicyLockoutSafetyCheck",
            lambda on: on is not True,
            "may be given a policy that locks everybody out",
        )


def _buckets(subject: Subject) -> Iterator[Broken]:
    for bucket in subject.graph.of(*BUCKETS):
        said = [each.inputs for each in attached(subject.graph, bucket, *_SEALS)]
        inline = at(bucket.inputs, "serverSideEncryptionConfiguration")
        rules = [one for each in said for one in each.get("rules") or []]
        if isinstance(inline, dict):
            rules += inline.get("rules") or ([inline["rule"]] if inline.get("rule") else [])
        if not rules:
            yield Broken(f"{bucket.name} is sealed with a key of AWS's", bucket)
        for rule in rules:
            kind = at(rule, "applyServerSideEncryptionByDefault.sseAlgorithm")
            key = at(rule, "applyServerSideEncryptionByDefault.kmsMasterKeyId")
            if unknown(kind):
                yield Broken(f"how {bucket.name} is sealed is not known yet", bucket, "undecided")
            elif not str(kind).startswith("aws:kms") or not key or "alias/aws/" in str(key):
                yield Broken(f"{bucket.name} is sealed with a key of AWS's", bucket)


def _logs(subject: Subject) -> Iterator[Broken]:
    for group in subject.graph.of("aws:cloudwatch/logGroup:LogGroup"):
        yield from wants_one(group, "kmsKeyId", "is sealed with no key of ours", "kms_key_id=key.arn")


def _topics(subject: Subject) -> Iterator[Broken]:
    for topic in subject.graph.of("aws:sns/topic:Topic"):
        key = topic.inputs.get("kmsMasterKeyId")
        if not key or "alias/aws/" in str(key):
            yield Broken(f"{topic.name} is sealed with no key of ours", topic)


def _trails(subject: Subject) -> Iterator[Broken]:
    for trail in subject.graph.of("aws:cloudtrail/trail:Trail"):
        yield from wants_one(trail, "kmsKeyId", "is sealed with no key of ours", "kms_key_id=key.arn")


def _stores(subject: Subject) -> Iterator[Broken]:
    for store in subject.graph.of(*_STORES):
        encrypted, key = _STORES[store.type]
        if encrypted:
            yield from wants(store, encrypted, true, "is not encrypted")
        if not at(store.inputs, key) or "alias/aws/" in str(at(store.inputs, key)):
            yield Broken(f"{store.name} is sealed with no key of ours", store)


def _disks(subject: Subject) -> Iterator[Broken]:
    for template in subject.graph.of(_DISKS):
        mapped = template.inputs.get("blockDeviceMappings")
        if unknown(mapped):
            yield Broken(f"the disks of {template.name} are not known yet", template, "undecided")
            continue
        disks = [at(each, "ebs") for each in mapped or [] if at(each, "ebs")]
        if not disks:
            yield Broken(
                f"{template.name} says nothing of its disks: the account's default decides", template
            )
        for disk in disks:
            on = at(disk, "encrypted")
            if unknown(on):
                yield Broken(
                    f"whether disks of {template.name} are sealed is not known", template, "undecided"
                )
            elif str(on).lower() != "true" or not at(disk, "kmsKeyId"):
                yield Broken(f"a disk of {template.name} is sealed with no key of ours", template)
    for group in subject.graph.of("aws:eks/nodeGroup:NodeGroup"):
        if not group.inputs.get("launchTemplate"):
            yield Broken(f"machines of {group.name} have disks sealed with no key of ours", group)


def _clusters(subject: Subject) -> Iterator[Broken]:
    for cluster in subject.graph.of("aws:eks/cluster:Cluster"):
        said = at(cluster.inputs, "encryptionConfig")
        if unknown(said):
            yield Broken(f"{cluster.name}: encryptionConfig is not known yet", cluster, "undecided")
        elif not at(said, "provider.keyArn") or "secrets" not in (at(said, "resources") or []):
            yield Broken(f"secrets of {cluster.name} lie in its store without a key of ours", cluster)


def _endpoint_disks(subject: Subject) -> Iterator[Broken]:
    for config in subject.graph.of(_CONFIG):
        if config.inputs.get("kmsKeyArn"):
            continue
        for variant in config.inputs.get("productionVariants") or []:
            kind = at(variant, "instanceType")
            if unknown(kind):
                yield Broken(f"machines of {config.name} are not known yet", config, "undecided")
            elif kind and not str(kind).startswith(OWN_DISKS):
                yield Broken(f"disks of {config.name} ({kind}) are sealed with no key of ours", config)


_rest = (*fw.nist("SC-28(1)"), *fw.pci("3.5.1"), *fw.iso_27001("A.8.24"), *fw.dora("Art. 9(2)"))
RULES = (
    Rule(
        id="encryption/keys-rotate",
        title="Keys of ours rotate",
        severity="high",
        supports=(
            *fw.fsbp("KMS.4"),
            *fw.cis_aws("4.6"),
            *fw.nist("SC-12"),
            *fw.pci("3.7.4"),
            *fw.iso_27001("A.8.24"),
            *fw.dora("Art. 9(4)(d)"),
        ),
        why="A key that never changes opens everything that it ever closed to whoever gets hold of it once",
        fix="Set enableKeyRotation on the key",
        check=_keys_rotate,
        each=(_KEY,),
    ),
    Rule(
        id="encryption/keys-stay",
        title="Keys of ours stay usable",
        severity="medium",
        supports=(*fw.nist("SC-12(1)"), *fw.iso_27001("A.8.24")),
        why="Without its key the audit trail is noise",
        fix="Take isEnabled: false and bypassPolicyLockoutSafetyCheck away",
        check=_keys_stay,
        each=(_KEY,),
    ),
    Rule(
        id="encryption/buckets-our-key",
        title="Buckets are sealed with keys of ours",
        severity="high",
        supports=_rest,
        why="With a key of AWS's whoever may read the bucket may read it, and no key policy stands between",
        fix="Add a BucketServerSideEncryptionConfiguration with sseAlgorithm aws:kms and our key",
        check=_buckets,
        each=BUCKETS,
    ),
    Rule(
        id="encryption/logs-our-key",
        title="Log groups are sealed with keys of ours",
        severity="medium",
        supports=_rest,
        why="Logs inherit the class of what they tell of",
        fix="Set kmsKeyId on the log group",
        check=_logs,
        each=("aws:cloudwatch/logGroup:LogGroup",),
    ),
    Rule(
        id="encryption/topics-our-key",
        title="Topics are sealed with keys of ours",
        severity="medium",
        supports=_rest,
        why="An alarm tells what happened to whom",
        fix="Set kmsMasterKeyId on the topic to a key of ours",
        check=_topics,
        each=("aws:sns/topic:Topic",),
    ),
    Rule(
        id="encryption/trail-our-key",
        title="The trail is sealed with a key of ours",
        severity="high",
        supports=(*fw.fsbp("CloudTrail.2"), *fw.cis_aws("4.5"), *_rest),
        why="The records name who asked which model when",
        fix="Set kmsKeyId on the trail",
        check=_trails,
        each=("aws:cloudtrail/trail:Trail",),
    ),
    Rule(
        id="encryption/stores-our-key",
        title="File systems, databases, queues, secrets and registries are sealed with keys of ours",
        severity="high",
        supports=_rest,
        why="Caches, review queues and retrieval stores hold what prompts hold",
        fix="Switch encryption on and name our key",
        check=_stores,
        each=tuple(_STORES),
    ),
    Rule(
        id="encryption/disks-our-key",
        title="Machines' disks are sealed with keys of ours",
        severity="high",
        supports=_rest,
        why="A node's disk holds weights, images and what pods wrote",
        fix="Set ebs: {encrypted: true, kmsKeyId} in the launch template",
        check=_disks,
        each=(_DISKS, "aws:eks/nodeGroup:NodeGroup"),
    ),
    Rule(
        id="encryption/cluster-secrets",
        title="A cluster's secrets are sealed with a key of ours",
        severity="high",
        supports=(*fw.fsbp("EKS.3"), *_rest),
        why="Certificates and callers' keys lie in the cluster's store",
        fix="Set encryptionConfig: {provider: {keyArn}, resources: [secrets]}",
        check=_clusters,
        each=("aws:eks/cluster:Cluster",),
    ),
    Rule(
        id="encryption/endpoint-disks",
        title="Disks of SageMaker's machines are sealed with a key of ours",
        severity="medium",
        supports=(*fw.checkov("CKV_AWS_98"), *_rest),
        why="Weights and whatever the model writes lie there; machines with local NVMe seal it themselves",
        fix="Set kmsKeyArn on the endpoint's configuration",
        check=_endpoint_disks,
        each=(_CONFIG,),
    ),
)
