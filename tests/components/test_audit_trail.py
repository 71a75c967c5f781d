"""The write-once store of audit records, the trail that delivers to it, and who hears when it is switched off."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime import mocks

from components import AuditTrail
from components.aws.boundary import TRAIL as NEVER
from components.governance import trail_alarms
from components.governance.cloud_trail import BEDROCK_DATA
from components.governance.topic import addresses
from isthmus.contracts.errors import AnswerIsNo, InputError
from tests.components.conftest import ACCOUNT, Engine

REGION = "eu-central-1"
MANAGER, ORGANISATION = "999999999999", "o-abc1234567"


class Account(Engine):
    """An account that is a member of an organisation; names that AWS makes up are the resources' own."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        id, given = super().new_resource(args)
        given.setdefault("name", args.name)
        return id, given

    def call(self, args: mocks.MockCallArgs) -> Any:
        if args.token == "aws:organizations/getOrganization:getOrganization":
            return {"id": ORGANISATION, "masterAccountId": MANAGER}
        return super().call(args)


@pytest.fixture
def engine() -> Account:
    return Account()


def audit(engine: Engine, **more: Any) -> None:
    given = {"name": "audit", "site": "frankfurt", "mode": "manage", "retention_days": 1826}
    engine.deploy(AuditTrail, "t", {**given, "region": REGION, **more})


def trailed(engine: Engine, store: dict[str, Any] | None = None, **more: Any) -> None:
    settings = {
        "mode": "manage",
        "organization": False,
        "retention_days": 1826,
        "notify": ["soc@bank.example"],
    }
    audit(engine, trail={**settings, **more}, **(store or {}))


def names(engine: Engine, kind: str) -> list[str]:
    """Sorted: what depends on nothing is registered in any order."""
    return sorted(made.inputs["name"] for made in engine.all(kind))


def trail_arn(engine: Engine, owner: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:cloudtrail:{region}:{owner}:trail/{engine.only('Trail').inputs['name']}"


def statements(engine: Engine, kind: str, name: str, key: str = "policy") -> dict[str, dict[str, Any]]:
    return {each["Sid"]: each for each in json.loads(engine.only(kind, name).inputs[key])["Statement"]}


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
    for each in json.loads(engine.only("Key").inputs["policy"])["Statement"]:
        assert each["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        assert not [action for action in each["Action"] if "*" in action]


def test_an_audit_bucket_is_closed_to_the_public_and_to_plain_http(engine: Engine) -> None:
    audit(engine)
    closed = engine.only("BucketPublicAccessBlock").inputs
    for block in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        assert closed[block] is True
    owner = engine.only("BucketOwnershipControls").inputs["rule"]
    assert owner == {"objectOwnership": "BucketOwnerEnforced"}
    denials = json.loads(engine.only("BucketPolicy").inputs["policy"])["Statement"]
    assert {each["Sid"] for each in denials} == {"TlsOnly", "NoOtherEncryption", "NoOtherKey"}
    assert all(each["Effect"] == "Deny" for each in denials)


def test_all_of_an_audit_store_stays_when_the_stack_goes(engine: Engine) -> None:
    audit(engine)
    assert engine.made
    for made in engine.made:
        assert made.retained, f"{made.name} would be deleted: without it the records are lost or open"
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
    with pytest.raises(InputError, match="on AWS only"):
        audit(engine, region="")


def test_an_existing_store_without_a_bucket_is_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match="names no bucket"):
        audit(engine, mode="existing")


def test_a_trail_records_all_regions_validated_and_under_the_stores_key(engine: Engine) -> None:
    trailed(engine)
    trail = engine.only("Trail").inputs
    for each in (
        "isMultiRegionTrail",
        "includeGlobalServiceEvents",
        "enableLogFileValidation",
        "enableLogging",
    ):
        assert trail[each] is True, each
    assert trail["isOrganizationTrail"] is False
    assert trail["kmsKeyId"] == "arn:aws:kms/key:::t-key"
    assert (trail["s3BucketName"], trail["s3KeyPrefix"]) == ("t-bucket-id", "cloudtrail")
    assert trail["cloudWatchLogsGroupArn"] == "arn:aws:cloudwatch/logGroup:::t-trail-logs:*"


def test_a_trail_records_calls_of_models_and_data_events_of_bedrock(engine: Engine) -> None:
    trailed(engine)
    selectors = engine.only("Trail").inputs["advancedEventSelectors"]
    fields = [{each["field"]: each for each in selector["fieldSelectors"]} for selector in selectors]
    management = [each for each in fields if each["eventCategory"]["equals"] == ["Management"]]
    assert [set(each) for each in management] == [{"eventCategory"}], "read and write, of every service"
    data = {each["resources.type"]["equals"][0] for each in fields if "resources.type" in each}
    assert data == {*BEDROCK_DATA, "AWS::S3::Object"}
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
    found = {
        "eventCategory": "Data",
        "resources.type": "AWS::S3::Object",
        "eventName": event,
        "resources.ARN": f"arn:aws:s3/bucket:::t-bucket/{key}",
    }

    def matches(each: dict[str, Any]) -> bool:
        value = found[each["field"]]
        return (
            value in each.get("equals", [value])
            and value not in each.get("notEquals", [])
            and value.startswith(tuple(each.get("startsWiths", [""])))
            and not value.startswith(tuple(each.get("notStartsWiths", ["\0"])))
        )

    selectors = engine.only("Trail").inputs["advancedEventSelectors"]
    assert any(all(map(matches, one["fieldSelectors"])) for one in selectors) is recorded


def test_cloudtrail_may_use_the_key_for_this_trail_only(engine: Engine) -> None:
    trailed(engine)
    key = statements(engine, "Key", "t-key")
    seals = key["SealTheTrail"]
    assert seals["Action"] == ["kms:GenerateDataKey"]
    assert seals["Condition"] == {
        "StringEquals": {"aws:SourceArn": trail_arn(engine)},
        "StringLike": {"kms:EncryptionContext:aws:cloudtrail:arn": trail_arn(engine, region="*")},
    }
    services = [each for each in key.values() if "Service" in each["Principal"]]
    assert len(services) == 3
    for each in services:
        assert each["Condition"]["StringEquals"] == {"aws:SourceArn": trail_arn(engine)}, each["Sid"]


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
    streams = f"arn:aws:cloudwatch/logGroup:::t-trail-logs:log-stream:{ACCOUNT}_CloudTrail_{REGION}*"
    for kind, name in (("RolePolicy", "t-trail-role-policy"), ("Policy", "t-trail-boundary")):
        writes = statements(engine, kind, name)["WriteItsStreams"]
        assert writes["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
        assert writes["Resource"] == [streams]


def test_a_boundary_that_is_given_takes_the_place_of_ours(engine: Engine) -> None:
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
    writes = statements(engine, "RolePolicy", "t-trail-role-policy")["WriteItsStreams"]
    assert [each.rpartition(":")[2] for each in writes["Resource"]] == [
        f"{owner}_CloudTrail_{REGION}*" for owner in (MANAGER, ORGANISATION)
    ]


def test_a_trail_into_an_existing_bucket_brings_a_key_of_its_own(engine: Engine) -> None:
    trailed(engine, {"mode": "existing", "bucket": "llm-audit"})
    assert not engine.all("Bucket")
    trail = engine.only("Trail").inputs
    assert (trail["s3BucketName"], trail["kmsKeyId"]) == ("llm-audit", "arn:aws:kms/key:::t-key")
    assert engine.outputs["retained"][0] == "arn:aws:kms/key:::t-key"
    assert engine.only("Key", "t-key").retained


def test_all_that_holds_records_stays_and_is_named(engine: Engine) -> None:
    trailed(engine)
    assert engine.outputs["retained"] == [
        "arn:aws:s3/bucket:::t-bucket",
        "arn:aws:kms/key:::t-key",
        "arn:aws:cloudwatch/logGroup:::t-trail-logs",
        "arn:aws:kms/key:::t-trail-log-key",
    ]
    stay = {made.name for made in engine.made if made.retained}
    assert {"t-bucket", "t-key", "t-policy", "t-lock", "t-trail-logs", "t-trail-log-key"} <= stay
    assert not {"t-trail", "t-trail-role", "t-alarms"} & stay, "what holds no record goes with the stack"


@pytest.mark.parametrize(("asked", "kept"), [(1826, 1827), (3653, 3653), (4000, 0)])
def test_the_searchable_copy_is_kept_the_next_longer_period_that_aws_knows(
    engine: Engine, asked: int, kept: int
) -> None:
    trailed(engine, retention_days=asked)
    group = engine.only("LogGroup").inputs
    assert group["retentionInDays"] == kept
    assert group["kmsKeyId"] == "arn:aws:kms/key:::t-trail-log-key"


def test_a_trail_that_exists_or_is_off_is_not_made(engine: Engine) -> None:
    trailed(engine, mode="existing", arn="arn:aws:cloudtrail:eu-west-1:9:trail/all", notify=[])
    assert engine.outputs["trail_arn"] == "arn:aws:cloudtrail:eu-west-1:9:trail/all"
    trailed(engine, mode="off", notify=[])
    assert engine.outputs["trail_arn"] == engine.outputs["log_group"] == ""
    assert not engine.all("Trail") + engine.all("Topic") + engine.all("LogGroup")


def rules(engine: Engine) -> dict[str, dict[str, Any]]:
    return {made.name: json.loads(made.inputs["eventPattern"]) for made in engine.all("EventRule")}


def test_whoever_switches_the_trail_off_is_seen_by_two_ways(engine: Engine) -> None:
    trailed(engine)
    seen = {
        call
        for pattern in rules(engine).values()
        if pattern["source"] == ["aws.cloudtrail"]
        for call in pattern["detail"]["eventName"]
    }
    assert {"StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors"} <= seen
    text = engine.only("LogMetricFilter").inputs["pattern"]
    for call in seen:
        assert f"($.eventName = {call})" in text
    assert seen <= {action.partition(":")[2] for action in NEVER}, (
        "what is watched, no identity of ours may do"
    )


def test_the_key_and_the_bucket_are_watched_each_by_its_name(engine: Engine) -> None:
    trailed(engine)
    found = rules(engine)
    key, store = found["t-alarms-key"]["detail"], found["t-alarms-store"]["detail"]
    assert {"DisableKey", "ScheduleKeyDeletion"} <= set(key["eventName"])
    assert key["resources"] == {"ARN": ["arn:aws:kms/key:::t-key"]}
    assert {"PutBucketPolicy", "DeleteBucket", "DeleteBucketPolicy"} <= set(store["eventName"])
    assert store["requestParameters"] == {"bucketName": ["t-bucket-id"]}
    assert found["t-alarms-logs"]["detail"]["requestParameters"] == {"logGroupName": ["t-trail-logs"]}


def test_the_watchers_are_watched(engine: Engine) -> None:
    trailed(engine)
    found = rules(engine)
    assert {"DisableRule", "DeleteRule", "RemoveTargets"} <= set(
        found["t-alarms-rules"]["detail"]["eventName"]
    )
    assert {"DeleteAlarms", "DisableAlarmActions"} == set(found["t-alarms-alarms"]["detail"]["eventName"])
    assert found["t-alarms-topic"]["detail"]["requestParameters"] == {
        "topicArn": ["arn:aws:sns/topic:::t-alarms"]
    }
    for side, param in zip(found["t-alarms-rules"]["detail"]["$or"], ("name", "rule"), strict=True):
        assert sorted(side["requestParameters"][param]) == names(engine, "EventRule")
    watched = found["t-alarms-alarms"]["detail"]["requestParameters"]["alarmNames"]
    assert sorted(watched) == names(engine, "MetricAlarm")
    for pattern in found.values():
        assert pattern["detail-type"] == ["AWS API Call via CloudTrail"]
        service = pattern["source"][0].removeprefix("aws.")
        assert pattern["detail"]["eventSource"] == [f"{service}.amazonaws.com"]


def test_every_rule_and_alarm_tells_the_topic(engine: Engine) -> None:
    trailed(engine)
    topic = "arn:aws:sns/topic:::t-alarms"
    targets = engine.all("EventTarget")
    assert sorted(made.inputs["rule"] for made in targets) == names(engine, "EventRule")
    assert {made.inputs["arn"] for made in targets} == {topic}
    assert [made.inputs["alarmActions"] for made in engine.all("MetricAlarm")] == [[topic], [topic]]
    assert engine.outputs["alarm_topic"] == topic


def test_a_trail_that_falls_silent_sounds_an_alarm(engine: Engine) -> None:
    trailed(engine)
    silence = engine.only("MetricAlarm", "t-alarms-silence").inputs
    assert silence["treatMissingData"] == "breaching", "no record is no metric"
    assert (silence["namespace"], silence["metricName"]) == ("AWS/Logs", "IncomingLogEvents")
    assert silence["dimensions"] == {"LogGroupName": "t-trail-logs"}
    tampering = engine.only("MetricAlarm", "t-alarms-tampering").inputs
    transformed = engine.only("LogMetricFilter").inputs["metricTransformation"]
    assert (tampering["namespace"], tampering["metricName"]) == (
        transformed["namespace"],
        transformed["name"],
    )
    assert tampering["treatMissingData"] == "notBreaching"


def test_the_filter_fits_what_cloudwatch_takes() -> None:
    assert len(trail_alarms.filter_pattern()) <= trail_alarms.PATTERN_CHARACTERS


def test_only_events_and_alarms_publish_to_the_topic(engine: Engine) -> None:
    trailed(engine)
    policy = statements(engine, "TopicPolicy", "t-alarms-policy")
    allowed = {each["Principal"]["Service"]: each for each in policy.values() if each["Effect"] == "Allow"}
    assert set(allowed) == {"events.amazonaws.com", "cloudwatch.amazonaws.com"}
    condition = allowed["cloudwatch.amazonaws.com"]["Condition"]
    assert condition["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    alarms = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:"
    assert sorted(condition["ArnEquals"]["aws:SourceArn"]) == [
        alarms + name for name in names(engine, "MetricAlarm")
    ]
    assert "Condition" not in allowed["events.amazonaws.com"], "EventBridge's messages would be dropped"
    assert policy["TlsOnly"]["Effect"] == "Deny"


def test_the_topics_key_opens_to_events_for_this_topic_only(engine: Engine) -> None:
    trailed(engine)
    assert engine.only("Topic").inputs["kmsMasterKeyId"] == "arn:aws:kms/key:::t-alarms-key"
    name = engine.only("Topic").inputs["name"]
    key = statements(engine, "Key", "t-alarms-key")
    assert key["EventsSeals"]["Condition"] == {
        "ArnEquals": {"kms:EncryptionContext:aws:sns:topicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}"}
    }
    assert key["AlarmsSeals"]["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def test_each_address_is_subscribed_once(engine: Engine) -> None:
    trailed(engine, notify=["soc@bank.example", "audit@bank.example", "soc@bank.example"])
    found = sorted(made.inputs["endpoint"] for made in engine.all("TopicSubscription"))
    assert found == ["audit@bank.example", "soc@bank.example"]
    assert {made.inputs["protocol"] for made in engine.all("TopicSubscription")} == {"email"}


def test_everything_that_can_bear_tags_bears_them(engine: Engine) -> None:
    trailed(engine, store={"tags": {"owner": "llm"}})
    bare = {
        *("BucketVersioning", "BucketObjectLockConfiguration", "BucketServerSideEncryptionConfiguration"),
        *("BucketPublicAccessBlock", "BucketOwnershipControls", "BucketPolicy", "RolePolicy"),
        *("TopicPolicy", "TopicSubscription", "EventTarget", "LogMetricFilter"),
    }
    for made in engine.made:
        if made.kind not in bare:
            assert made.inputs.get("tags") == {"owner": "llm", "isthmus.dev/audit": "audit"}, made.name


@pytest.mark.parametrize(
    ("store", "trail", "words"),
    [
        ({}, {"notify": []}, "nobody would hear"),
        ({}, {"notify": ["soc"]}, "no e-mail address"),
        ({}, {"mode": "made"}, "not known"),
        ({"mode": "off"}, {}, "bucket of Amazon S3, and the store is off"),
        (
            {"mode": "existing", "bucket": "b", "endpoint": "https://s3.fra1"},
            {"organization": True},
            "the store is at https://s3.fra1",
        ),
        ({"mode": "existing", "bucket": "b", "region": ""}, {}, "home region"),
        ({"mode": "existing"}, {"organization": True}, "names no bucket"),
    ],
)
def test_a_trail_that_cannot_be_is_refused_with_what_to_do(
    engine: Engine, store: dict[str, Any], trail: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words) as refused:
        trailed(engine, store, **trail)
    assert refused.value.todo
    assert refused.value.where.startswith("audit.audit")
    assert not engine.made


def test_a_searchable_copy_that_goes_before_the_records_is_refused(engine: Engine) -> None:
    with pytest.raises(AnswerIsNo, match="365 days, the store's records 1826") as refused:
        trailed(engine, retention_days=365)
    assert refused.value.todo == "Say 1826 or more"


def test_names_fit_what_aws_takes(engine: Engine) -> None:
    settings = {"mode": "manage", "organization": False, "retention_days": 1826, "notify": ["a@b.example"]}
    given = {"name": "n", "site": "s", "mode": "manage", "retention_days": 1826, "region": REGION}
    engine.deploy(AuditTrail, "isthmus-" + "x" * 40, {**given, "trail": settings})
    for made in [*engine.all("Role"), *engine.all("EventRule")]:
        assert len(made.inputs["name"]) <= 64, made.name
    assert len(set(names(engine, "EventRule"))) == len(trail_alarms.KINDS)


@given(st.lists(st.emails(), min_size=1, max_size=10))
def test_real_addresses_are_taken_each_once(found: list[str]) -> None:
    told = addresses([*found, *found], "x", "nobody")
    assert told == sorted(set(found))


def test_more_addresses_than_aws_takes_are_refused() -> None:
    with pytest.raises(InputError, match="11 addresses"):
        addresses([f"{at}@bank.example" for at in range(11)], "x", "nobody")
