"""The write-once store of audit records, and the trail that delivers to it."""

import json
from typing import Any

import pytest

from components.aws.common.names import aws_name
from components.aws.records.cloud_trail import BEDROCK_DATA, SAGEMAKER_DATA
from isthmus.core.errors import InputError, Refused
from tests.components.conftest import ACCOUNT, Engine
from tests.components.policies import allowed
from tests.components.trail import (
    MANAGER,
    ORGANISATION,
    REGION,
    Account,
    audit,
    statements,
    trail_arn,
    trailed,
)


@pytest.fixture
def engine() -> Account:
    return Account()


def test_an_audit_bucket_is_write_once_in_compliance_mode(engine: Engine) -> None:
    audit(engine)
    bucket = engine.only("Bucket")
    assert bucket.inputs["objectLockEnabled"] is True
    assert "bucket" not in bucket.inputs, (
        "named by Pulumi: a retained one must not stand in the next one's way"
    )
    rule = engine.only("BucketObjectLockConfiguration").inputs["rule"]
    assert rule == {"defaultRetention": {"mode": "COMPLIANCE", "days": 1826}}
    assert engine.only("BucketVersioning").inputs["versioningConfiguration"] == {"status": "Enabled"}


def rules(engine: Engine) -> dict[str, Any]:
    return {rule["id"]: rule for rule in engine.only("BucketLifecycleConfiguration").inputs["rules"]}


def test_records_go_once_their_lock_has_ended_and_not_before(engine: Engine) -> None:
    audit(engine)
    locked = engine.only("BucketObjectLockConfiguration").inputs["rule"]["defaultRetention"]["days"]
    expiry = rules(engine)["delete-after-retention"]
    assert expiry["expiration"]["days"] == locked + 1, "earlier, a marker would hide a locked record"
    assert expiry["noncurrentVersionExpiration"] == {"noncurrentDays": 1}
    assert expiry["filter"] == {"prefix": ""}
    assert rules(engine)["drop-unfinished-uploads"]["abortIncompleteMultipartUpload"] == {
        "daysAfterInitiation": 7
    }
    assert rules(engine)["drop-markers-of-nothing"]["expiration"] == {"expiredObjectDeleteMarker": True}
    assert all(rule["status"] == "Enabled" for rule in rules(engine).values())


def test_records_are_retained_as_stated(engine: Engine) -> None:
    audit(engine, delete_after_retention=False)
    assert set(rules(engine)) == {"drop-unfinished-uploads"}


def test_an_audit_bucket_is_sealed_with_a_key_of_our_own(engine: Engine) -> None:
    audit(engine)
    key = engine.only("Key")
    assert key.inputs["enableKeyRotation"] is True
    (rule,) = engine.only("BucketServerSideEncryptionConfiguration").inputs["rules"]
    assert rule["bucketKeyEnabled"] is True
    assert rule["applyServerSideEncryptionByDefault"] == {
        "sseAlgorithm": "aws:kms",
        "kmsMasterKeyId": "arn:aws:kms/key:::t-key",
    }


def test_without_a_trail_a_keys_policy_names_the_account_and_no_service(engine: Engine) -> None:
    audit(engine)
    for statement in json.loads(engine.only("Key").inputs["policy"])["Statement"]:
        assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        assert not [action for action in statement["Action"] if "*" in action]


def test_an_audit_bucket_is_closed_to_the_public_and_to_plain_http(engine: Engine) -> None:
    audit(engine)
    closed = engine.only("BucketPublicAccessBlock").inputs
    for block in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        assert closed[block] is True
    owner = engine.only("BucketOwnershipControls").inputs["rule"]
    assert owner == {"objectOwnership": "BucketOwnerEnforced"}
    denials = json.loads(engine.only("BucketPolicy").inputs["policy"])["Statement"]
    assert {denial["Sid"] for denial in denials} == {
        *("TlsOnly", "SealersAlonePut", "NobodyDeletes"),
        *("NoOtherEncryption", "NoOtherKey", "NoKeyOfTheCallers"),
    }
    assert all(denial["Effect"] == "Deny" for denial in denials)


SEALED = "s3_x_amz_server_side_encryption"
UNDER = "s3_x_amz_server_side_encryption_aws_kms_key_id"
OURS = "arn:aws:kms/key:::t-key"


@pytest.mark.parametrize("trail", [True, False])
@pytest.mark.parametrize(
    ("headers", "allowed_expected"),
    [
        ({}, True),
        ({SEALED: "aws:kms", UNDER: OURS}, True),
        ({SEALED: "aws:kms"}, False),
        ({SEALED: "aws:kms", UNDER: "arn:aws:kms/key:::other"}, False),
        ({SEALED: "AES256"}, False),
        ({SEALED: "aws:kms:dsse", UNDER: OURS}, False),
        ({"s3_x_amz_server_side_encryption_customer_algorithm": "AES256"}, False),
        ({"aws_SecureTransport": "false"}, False),
    ],
)
def test_a_record_is_sealed_under_the_stores_key_or_not_taken(
    engine: Engine, trail: bool, headers: dict[str, str], allowed_expected: bool
) -> None:
    more = {"sealers": ["seal-????"]}
    if trail:
        trailed(engine, more)
    else:
        audit(engine, **more)
    policy = json.loads(engine.only("BucketPolicy").inputs["policy"])
    bucket = "arn:aws:s3/bucket:::t-bucket"
    policy["Statement"].append({"Effect": "Allow", "Action": "s3:*", "Resource": [f"{bucket}/*"]})
    sealer = {
        "aws_PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/seal-0bad",
        "aws_PrincipalIsAWSService": "false",
    }
    headers = {"aws_SecureTransport": "true", **sealer, **headers}
    assert allowed(policy, "s3:PutObject", f"{bucket}/any/record", **headers) is allowed_expected


def test_digests_of_the_trail_are_accepted_with_any_sealing(engine: Engine) -> None:
    """They prove the records unaltered; CloudTrail has sealed them by S3's own key."""
    trailed(engine)
    policy = json.loads(engine.only("BucketPolicy").inputs["policy"])
    digest = f"arn:aws:s3/bucket:::t-bucket/cloudtrail/AWSLogs/{ACCOUNT}/CloudTrail-Digest/{REGION}/a.json.gz"
    context = {SEALED: "AES256", "s3_x_amz_acl": "bucket-owner-full-control", "aws_SecureTransport": "true"}
    assert allowed(policy, "s3:PutObject", digest, aws_SourceArn=trail_arn(engine), **context)
    other_arn = trail_arn(engine).replace(ACCOUNT, "9" * 12)
    assert not allowed(policy, "s3:PutObject", digest, aws_SourceArn=other_arn, **context)


def test_an_audit_store_is_retained_when_the_stack_is_destroyed(engine: Engine) -> None:
    audit(engine)
    assert engine.made
    for resource in engine.made:
        assert resource.retained, f"{resource.name} would be deleted: without it the records are lost or open"
    assert engine.outputs["retained"] == ["arn:aws:s3/bucket:::t-bucket", "arn:aws:kms/key:::t-key"]


def test_an_existing_store_is_named_and_nothing_is_made(engine: Engine) -> None:
    audit(engine, mode="existing", endpoint="https://s3.fra1", bucket="llm-audit")
    assert not engine.made
    assert (engine.outputs["bucket"], engine.outputs["endpoint"]) == ("llm-audit", "https://s3.fra1")
    assert engine.outputs["retained"] == []


def test_a_store_off_names_nothing(engine: Engine) -> None:
    audit(engine, mode="off")
    assert not engine.made
    assert engine.outputs["bucket"] == engine.outputs["trail_arn"] == engine.outputs["log_group"] == ""


def test_a_store_on_prem_is_not_made(engine: Engine) -> None:
    with pytest.raises(InputError, match="only be created on AWS"):
        audit(engine, region="")


def test_an_existing_store_without_a_bucket_is_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="has no bucket"):
        audit(engine, mode="existing")


def test_a_trail_records_all_regions_validated_and_under_the_stores_key(engine: Engine) -> None:
    trailed(engine)
    trail = engine.only("Trail").inputs
    for setting in (
        "isMultiRegionTrail",
        "includeGlobalServiceEvents",
        "enableLogFileValidation",
        "enableLogging",
    ):
        assert trail[setting] is True, setting
    assert trail["isOrganizationTrail"] is False
    assert trail["kmsKeyId"] == "arn:aws:kms/key:::t-key"
    assert (trail["s3BucketName"], trail["s3KeyPrefix"]) == ("t-bucket-id", "cloudtrail")
    assert trail["cloudWatchLogsGroupArn"] == "arn:aws:cloudwatch/logGroup:::t-trail-logs:*"


def test_a_trail_records_calls_of_models_and_data_events_of_bedrock(engine: Engine) -> None:
    trailed(engine)
    selectors = engine.only("Trail").inputs["advancedEventSelectors"]
    fields = [
        {selector["field"]: selector for selector in selector["fieldSelectors"]} for selector in selectors
    ]
    management = [field for field in fields if field["eventCategory"]["equals"] == ["Management"]]
    assert [set(selectors_of_event) for selectors_of_event in management] == [{"eventCategory"}], (
        "read and write, of every service"
    )
    data = {field["resources.type"]["equals"][0] for field in fields if "resources.type" in field}
    assert data == {*BEDROCK_DATA, *SAGEMAKER_DATA, "AWS::S3::Object"}
    assert "AWS::SageMaker::Endpoint" in data
    for part in ("AgentAlias", "Guardrail", "FlowAlias", "PromptVersion", "KnowledgeBase"):
        assert f"AWS::Bedrock::{part}" in data


@pytest.mark.parametrize(
    ("event", "key", "recorded"),
    [
        ("GetObject", "cloudtrail/AWSLogs/1/a.gz", True),
        ("DeleteObject", "cloudtrail/AWSLogs/1/a.gz", True),
        ("PutObject", "edge/records.jsonl", True),
        ("PutObject", "cloudtrail/AWSLogs/1/a.gz", False),
    ],
)
def test_a_trail_records_every_access_to_its_store_but_its_own_deliveries(
    engine: Engine, event: str, key: str, recorded: bool
) -> None:
    trailed(engine)
    values = {
        "eventCategory": "Data",
        "resources.type": "AWS::S3::Object",
        "eventName": event,
        "resources.ARN": f"arn:aws:s3/bucket:::t-bucket/{key}",
    }

    def matches(selector: dict[str, Any]) -> bool:
        value = values[selector["field"]]
        return (
            value in selector.get("equals", [value])
            and value not in selector.get("notEquals", [])
            and value.startswith(tuple(selector.get("startsWiths", [""])))
            and not value.startswith(tuple(selector.get("notStartsWiths", ["\0"])))
        )

    selectors = engine.only("Trail").inputs["advancedEventSelectors"]
    assert any(all(map(matches, selector["fieldSelectors"])) for selector in selectors) is recorded


def test_cloudtrail_may_use_the_key_for_this_trail_only(engine: Engine) -> None:
    trailed(engine)
    key = statements(engine, "Key", "t-key")
    seals = key["SealTheTrail"]
    assert seals["Action"] == ["kms:GenerateDataKey"]
    assert seals["Condition"] == {
        "StringEquals": {"aws:SourceArn": trail_arn(engine)},
        "StringLike": {"kms:EncryptionContext:aws:cloudtrail:arn": trail_arn(engine, region="*")},
    }
    services = [statement for statement in key.values() if "Service" in statement["Principal"]]
    assert len(services) == 3
    for service in services:
        assert service["Condition"]["StringEquals"] == {"aws:SourceArn": trail_arn(engine)}, service["Sid"]


def test_cloudtrail_may_write_to_its_folder_of_the_bucket_for_this_trail_only(engine: Engine) -> None:
    trailed(engine)
    policy = statements(engine, "BucketPolicy", "t-policy")
    assert policy["TrailLooksAtTheBucket"]["Condition"] == {
        "StringEquals": {"aws:SourceArn": trail_arn(engine)}
    }
    delivers = policy["TrailDelivers"]
    assert delivers["Resource"] == [f"arn:aws:s3/bucket:::t-bucket/cloudtrail/AWSLogs/{ACCOUNT}/*"]
    assert delivers["Condition"]["StringEquals"] == {
        "aws:SourceArn": trail_arn(engine),
        "s3:x-amz-acl": "bucket-owner-full-control",
    }
    assert {"TlsOnly", "NoOtherEncryption", "NoOtherKey"} < set(policy), "a trail must not loosen the store"


def test_a_trail_waits_until_bucket_and_role_let_it_write(engine: Engine) -> None:
    trailed(engine)
    assert {"t-policy", "t-trail-role-policy", "t-ownership", "t-lock"} <= set(
        engine.only("Trail").depends_on
    )


def test_the_role_of_cloudtrail_is_bounded_and_writes_to_its_own_streams_only(engine: Engine) -> None:
    trailed(engine)
    role = engine.only("Role")
    assert role.inputs["permissionsBoundary"] == "arn:aws:iam/policy:::t-trail-boundary"
    trust = statements(engine, "Role", "t-trail-role", "assumeRolePolicy")["ThisTrail"]
    assert trust["Principal"] == {"Service": "cloudtrail.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceArn": trail_arn(engine)}}
    written = engine.only("RolePolicy", "t-trail-role-policy")
    assert written.inputs["name"] == aws_name("t-trail-role-policy", 128)
    streams = f"arn:aws:cloudwatch/logGroup:::t-trail-logs:log-stream:{ACCOUNT}_CloudTrail_{REGION}*"
    for kind, name in (("RolePolicy", "t-trail-role-policy"), ("Policy", "t-trail-boundary")):
        writes = statements(engine, kind, name)["WriteItsStreams"]
        assert writes["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
        assert writes["Resource"] == [streams]


def test_a_given_boundary_replaces_the_default(engine: Engine) -> None:
    trailed(engine, permissions_boundary="arn:aws:iam::1:policy/edge")
    assert engine.only("Role").inputs["permissionsBoundary"] == "arn:aws:iam::1:policy/edge"
    assert not engine.all("Policy")


def test_an_organisations_trail_is_its_management_accounts(engine: Engine) -> None:
    trailed(engine, organization=True)
    arn = trail_arn(engine, MANAGER)
    assert engine.only("Trail").inputs["isOrganizationTrail"] is True
    delivers = statements(engine, "BucketPolicy", "t-policy")["TrailDelivers"]
    bucket = "arn:aws:s3/bucket:::t-bucket/cloudtrail/AWSLogs"
    assert delivers["Resource"] == [f"{bucket}/{MANAGER}/*", f"{bucket}/{ORGANISATION}/*"]
    assert delivers["Condition"]["StringEquals"]["aws:SourceArn"] == arn
    for kind, name in (("RolePolicy", "t-trail-role-policy"), ("Policy", "t-trail-boundary")):
        writes = statements(engine, kind, name)["WriteItsStreams"]
        assert [arn.rpartition(":")[2] for arn in writes["Resource"]] == [
            f"{MANAGER}_CloudTrail_{REGION}*",
            f"{ORGANISATION}_*",
        ], "AWS's own policy lets the organisation's streams have any name behind its id"


def test_a_trail_into_an_existing_bucket_brings_a_key_of_its_own(engine: Engine) -> None:
    trailed(engine, {"mode": "existing", "bucket": "llm-audit"})
    assert not engine.all("Bucket")
    trail = engine.only("Trail").inputs
    assert (trail["s3BucketName"], trail["kmsKeyId"]) == ("llm-audit", "arn:aws:kms/key:::t-key")
    assert engine.outputs["retained"][0] == "arn:aws:kms/key:::t-key"
    assert engine.only("Key", "t-key").retained


def test_all_resources_with_records_are_retained_and_named(engine: Engine) -> None:
    trailed(engine)
    assert engine.outputs["retained"] == [
        "arn:aws:s3/bucket:::t-bucket",
        "arn:aws:kms/key:::t-key",
        "arn:aws:cloudwatch/logGroup:::t-trail-logs",
        "arn:aws:kms/key:::t-trail-log-key",
    ]
    stay = {resource.name for resource in engine.made if resource.retained}
    assert {"t-bucket", "t-key", "t-policy", "t-lock", "t-trail-logs", "t-trail-log-key"} <= stay
    assert not {"t-trail", "t-trail-role", "t-alarms"} & stay, "what holds no record goes with the stack"


@pytest.mark.parametrize(("days", "expected_days"), [(1826, 1827), (3653, 3653), (4000, 0)])
def test_the_searchable_copy_is_kept_the_next_longer_period_that_aws_knows(
    engine: Engine, days: int, expected_days: int
) -> None:
    trailed(engine, retention_days=days)
    group = engine.only("LogGroup").inputs
    assert group["retentionInDays"] == expected_days
    assert group["kmsKeyId"] == "arn:aws:kms/key:::t-trail-log-key"


def test_a_trail_that_exists_or_is_off_is_not_made(engine: Engine) -> None:
    trailed(engine, mode="existing", arn="arn:aws:cloudtrail:eu-west-1:9:trail/all", notify=[])
    assert engine.outputs["trail_arn"] == "arn:aws:cloudtrail:eu-west-1:9:trail/all"
    trailed(engine, mode="off", notify=[])
    assert engine.outputs["trail_arn"] == engine.outputs["log_group"] == ""
    assert not engine.all("Trail") + engine.all("Topic") + engine.all("LogGroup")


def test_every_taggable_resource_is_tagged(engine: Engine) -> None:
    trailed(engine, store={"tags": {"owner": "llm"}})
    bare = {
        *("BucketVersioning", "BucketObjectLockConfiguration", "BucketServerSideEncryptionConfiguration"),
        *("BucketPublicAccessBlock", "BucketOwnershipControls", "BucketPolicy", "RolePolicy"),
        "BucketLifecycleConfiguration",
        *("TopicPolicy", "TopicSubscription", "EventTarget", "LogMetricFilter"),
    }
    for resource in engine.made:
        if resource.kind not in bare:
            assert resource.inputs.get("tags") == {"owner": "llm", "isthmus.dev/audit": "audit"}, (
                resource.name
            )


@pytest.mark.parametrize(
    ("store", "trail", "message"),
    [
        ({}, {"notify": []}, "nobody would be told"),
        ({}, {"notify": ["soc"]}, "not an e-mail address"),
        ({}, {"mode": "made"}, "not known"),
        ({"mode": "off"}, {}, "bucket of Amazon S3, but the store is off"),
        (
            {"mode": "existing", "bucket": "b", "endpoint": "https://s3.fra1"},
            {"organization": True},
            "the store is at https://s3.fra1",
        ),
        ({"mode": "existing", "bucket": "b", "region": ""}, {}, "home region"),
        ({"mode": "existing"}, {"organization": True}, "has no bucket"),
    ],
)
def test_an_impossible_trail_is_refused_with_its_fix(
    engine: Engine, store: dict[str, Any], trail: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        trailed(engine, store, **trail)
    assert refused.value.fix
    assert refused.value.where.startswith("audit.audit")
    assert not engine.made


def test_a_searchable_copy_that_goes_before_the_records_is_refused(engine: Engine) -> None:
    with pytest.raises(Refused, match="365 days, but the store's records 1826") as refused:
        trailed(engine, retention_days=365)
    assert refused.value.fix == "Set retention_days to 1826 or more"
