"""Buckets of own code that only take the access logs of other buckets."""

from __future__ import annotations

import json

from isthmus.graph.resources.resources import Graph, Resource
from policies.inputs.aws_reach import classified_reach, is_of_component
from policies.inputs.documents import actions, conditions, principals, statements
from policies.inputs.links import dependencies
from policies.rules.rule import Subject

_LOGGING = ("aws:s3/bucketLogging:BucketLogging", "aws:s3/bucketLoggingV2:BucketLoggingV2")
_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
_SETTINGS = (
    _POLICY,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
)
"""Types that set something of a bucket, and neither read nor write its objects."""
_PLAIN = {"bucket", "bucketPrefix", "forceDestroy", "serverSideEncryptionConfiguration", "tags", "tagsAll"}
"""Inputs of a bucket that open it to nobody."""
_DELIVERY = "logging.s3.amazonaws.com"


def takes_only_access_logs(subject: Subject, bucket: Resource) -> bool:
    """Whether a bucket is the target of S3 access logs and of nothing else, out of reach of classified data.

    S3 delivers access logs to no bucket whose default encryption is SSE-KMS (Amazon S3 User Guide, "Enabling Amazon S3
    server access logging"; stated from memory on 2026-11-30, the page could not be read that day).
    """
    graph, reach = subject.graph, classified_reach(subject)
    if is_of_component(bucket) or bucket.urn in reach or set(bucket.inputs) - _PLAIN:
        return False
    users = [other for other in graph.resources if _uses(graph, other, bucket)]
    logs = [other for other in users if other.type in _LOGGING]
    return bool(logs) and all(
        other.urn not in reach and not is_of_component(other) and _is_harmless(other) for other in users
    )


def _uses(graph: Graph, resource: Resource, bucket: Resource) -> bool:
    """Whether a resource refers to a bucket, or names it."""
    name = bucket.inputs.get("bucket")
    if resource is bucket:
        return False
    is_named = isinstance(name, str) and bool(name) and name in json.dumps(resource.inputs, default=str)
    return is_named or bucket in graph.referred(resource.inputs) or bucket.urn in dependencies(resource)


def _is_harmless(resource: Resource) -> bool:
    """Whether a resource only sets something of a bucket, or sends access logs to it."""
    if resource.type in _LOGGING:
        return True
    if resource.type != _POLICY:
        return resource.type in _SETTINGS
    listed = statements(resource.inputs.get("policy"))
    return listed is not None and all(entry.get("Effect") == "Deny" or _delivers(entry) for entry in listed)


def _delivers(statement: dict[str, object]) -> bool:
    """Whether a statement lets S3 deliver the access logs of one account, and nobody else do anything."""
    accounts = [
        value
        for operator, key, value in conditions(statement)
        if operator == "StringEquals" and key.lower() == "aws:sourceaccount"
    ]
    return (
        principals(statement) == [_DELIVERY]
        and actions(statement) == ["s3:PutObject"]
        and bool(accounts)
        and all(isinstance(value, str) and not set("*?") & set(value) for value in accounts)
    )
