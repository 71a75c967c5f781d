"""A bucket that only takes S3's access logs may have S3's own key, and any other bucket may not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from isthmus.engine.render.recorder import Resource
from tests.policies.making import resource_of
from tests.policies.test_own_aws import stops

pytestmark = pytest.mark.whole

RULE = "encryption/buckets-our-key"
LOGS = resource_of("aws:s3/bucket:Bucket", "ci-logs", {"bucket": "bank-ci-access-logs"})
REPORTS = resource_of("aws:s3/bucket:Bucket", "ci-reports", {})
_SEALS = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
PLATFORMS = "${bank-frankfurt-bucket.bucket}"


def sealed(kind: str) -> Resource:
    rules = [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": kind}}]
    return resource_of(_SEALS, "ci-logs-seal", {"bucket": "${ci-logs.id}", "rules": rules})


def logging(source: str = "${ci-reports.id}") -> Resource:
    inputs = {"bucket": source, "targetBucket": "${ci-logs.id}", "targetPrefix": "reports/"}
    return resource_of("aws:s3/bucketLogging:BucketLogging", "ci-reports-logging", inputs)


def policy(**changes: Any) -> Resource:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "${ci-logs.arn}/*",
        "Condition": {"StringEquals": {"aws:SourceAccount": "111122223333"}},
        **changes,
    }
    words = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    inputs = {"bucket": "${ci-logs.id}", "policy": words}
    return resource_of("aws:s3/bucketPolicy:BucketPolicy", "ci-logs-policy", inputs)


def is_found(*added: Resource) -> bool:
    return any(finding.policy == RULE and finding.resource == "ci-logs" for finding in stops(*added))


def test_a_bucket_that_only_takes_access_logs_may_have_the_key_of_s3():
    assert not is_found(LOGS, REPORTS, sealed("AES256"), logging(), policy())


TAGGED = replace(LOGS, inputs={**LOGS.inputs, "tags": {"isthmus.dev/class": "internal"}})
SEALED = sealed("AES256")
OPENED = replace(LOGS, inputs={**LOGS.inputs, "policy": "${elsewhere.json}"})
OTHERS: dict[str, list[Resource]] = {
    "no-logs": [LOGS, REPORTS, SEALED, policy()],
    "no-encryption": [LOGS, REPORTS, logging(), policy()],
    "key-of-aws": [LOGS, REPORTS, sealed("aws:kms"), logging(), policy()],
    "classified": [TAGGED, REPORTS, SEALED, logging(), policy()],
    "inline-policy": [OPENED, REPORTS, SEALED, logging(), policy()],
    "logs-of-the-platforms-bucket": [LOGS, SEALED, logging(PLATFORMS), policy()],
    "others-write": [LOGS, REPORTS, SEALED, logging(), policy(Principal={"AWS": "${reader.arn}"})],
    "others-read": [LOGS, REPORTS, SEALED, logging(), policy(Action=["s3:PutObject", "s3:GetObject"])],
    "any-account": [LOGS, REPORTS, SEALED, logging(), policy(Condition={})],
    "object": [
        *(LOGS, REPORTS, SEALED, logging(), policy()),
        resource_of("aws:s3/bucketObjectv2:BucketObjectv2", "file", {"bucket": "${ci-logs.id}"}),
    ],
    "object-by-name": [
        *(LOGS, REPORTS, SEALED, logging(), policy()),
        resource_of("aws:s3/bucketObjectv2:BucketObjectv2", "file", {"bucket": "bank-ci-access-logs"}),
    ],
}


@pytest.mark.parametrize("row", OTHERS)
def test_a_bucket_with_anything_else_needs_our_key(row: str):
    assert is_found(*OTHERS[row])
