"""AWS resources of own code: no unknown type, no second setting, nobody at the data, no other account (T071-T096)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from isthmus.contracts.platform.model.aws.eks import Cluster
from isthmus.contracts.platform.model.platform import Gateway, Site
from isthmus.contracts.policy_settings import Settings
from isthmus.contracts.reports.findings import Finding
from isthmus.contracts.trust import Trust
from isthmus.engine.render.recorder import Resource
from isthmus.graph.resources.resources import Graph
from policies.data_path import known_aws
from policies.evaluation.evaluation import blocking_findings, judge
from policies.inputs.aws_reach import classified_reach
from policies.rules.rule import Subject
from tests.blueprints.bank import platform
from tests.policies.boundary_rows import TODAY, other, rendered, stops
from tests.policies.making import platform_with, resource_of
from tests.policies.sdk_types import resource_types

TYPES, OBJECTS, ACCOUNTS, ENDS = (
    f"data-path/{rule}"
    for rule in ("known-aws-types", "own-aws-objects", "own-aws-accounts", "known-other-ends")
)
BUCKET, NAMED = "${bank-frankfurt-bucket.bucket}", "bank-frankfurt-bucket-1f6c4c9"
FOREIGN = "210987654321"
POD_IDENTITY = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/5f0c7a4e-1111-2222-3333-444455556666"
OWN_ROLE = "arn:aws:iam::${aws.accountId}:role/analysts"
REFERENCE = re.compile(r"\$\{[^}]+\}")


def document(
    principal: Any = None,
    action: str = "s3:GetObject",
    resource: str = f"arn:aws:s3:::{BUCKET}/*",
    **more: Any,
):
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [statement | ({"Principal": principal} if principal else {})]}
    )


def role(name: str, principal: Any, /, **more: Any) -> Resource:
    boundary = "arn:aws:iam::${aws.accountId}:policy/org-boundary"
    trust = document(principal, "sts:AssumeRole", "*")
    inputs = {"assumeRolePolicy": trust, "permissionsBoundary": boundary, **more}
    return resource_of("aws:iam/role:Role", name, inputs)


def grant(to: str, **body: Any) -> Resource:
    return other("aws:iam/rolePolicy:RolePolicy", role=to, policy=document(**body))


READER = role("reader", {"Service": "lambda.amazonaws.com"})
READS = replace(grant("${reader.name}"), name="reads")
ROWS: dict[str, tuple[Resource, set[str]]] = {
    "T071": (
        other("aws:kms/keyPolicy:KeyPolicy", keyId=KEY, policy=document(OWN_ROLE, "kms:Decrypt", "*")),
        {OBJECTS},
    ),
    "T072": (
        other("aws:s3/bucketPolicy:BucketPolicy", bucket=BUCKET, policy=document({"AWS": OWN_ROLE})),
        {OBJECTS},
    ),
    "T073": (
        other(
            "aws:s3/bucketPolicy:BucketPolicy", bucket=BUCKET, policy=document({"CanonicalUser": "ab" * 32})
        ),
        {OBJECTS, ACCOUNTS},
    ),
    "T076": (other("aws:lambda/function:Function", role="${reader.arn}"), {TYPES}),
    "T077": (
        other("aws:apprunner/service:Service", instanceConfiguration={"instanceRoleArn": "${reader.arn}"}),
        {TYPES},
    ),
    "T078": (
        other(
            "aws:scheduler/schedule:Schedule",
            target={"input": json.dumps({"CopySource": f"{NAMED}/records"})},
        ),
        {TYPES},
    ),
    "T079": (other("aws:sfn/stateMachine:StateMachine", definition=json.dumps({"Bucket": NAMED})), {TYPES}),
    "T080": (other("aws:cloudtrail/trail:Trail", s3BucketName=f"collector-{FOREIGN}"), {TYPES, ACCOUNTS}),
    "T081": (
        other("aws:cfg/aggregateAuthorization:AggregateAuthorization", accountId=FOREIGN),
        {TYPES, ACCOUNTS},
    ),
    "T082": (
        other(
            "aws:cloudwatch/metricStream:MetricStream",
            firehoseArn=f"arn:aws:firehose:eu-central-1:{FOREIGN}:x/in",
        ),
        {TYPES, ACCOUNTS},
    ),
    "T083": (
        other("aws:cloudwatch/eventApiDestination:EventApiDestination", invocationEndpoint="https://x"),
        {TYPES},
    ),
    "T083b": (other("aws:cloudwatch/eventTarget:EventTarget", arn="${destination.arn}"), {OBJECTS}),
    "T084": (
        other(
            "aws:ecr/replicationConfiguration:ReplicationConfiguration",
            replicationConfiguration={"rules": [{"destinations": [{"registryId": FOREIGN}]}]},
        ),
        {TYPES, ACCOUNTS},
    ),
    "T085": (
        other("aws:macie2/invitationAccepter:InvitationAccepter", administratorAccountId=FOREIGN),
        {TYPES, ACCOUNTS},
    ),
    "T090": (
        other(
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            bucket=BUCKET,
            rules=[
                {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY}}
            ],
        ),
        {OBJECTS, ACCOUNTS},
    ),
    "T091": (
        other(
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            securityGroupId="sg-0123456789abcdef0",
            referencedSecurityGroupId="sg-0fedcba9876543210",
        ),
        {ENDS},
    ),
    "T092": (
        other(
            "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration",
            loggingConfig={"s3Config": {"bucketName": "collector"}},
        ),
        {OBJECTS, TYPES},
    ),
    "T093": (
        other(
            "aws:cloudwatch/metricAlarm:MetricAlarm", alarmActions=[f"arn:aws:sns:eu-central-1:{FOREIGN}:in"]
        ),
        {ACCOUNTS},
    ),
    "T094": (
        other("aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration", iamRoleArn="${reader.arn}"),
        {TYPES},
    ),
    "T095": (other("aws:bedrock/agentAgent:AgentAgent", agentResourceRoleArn="${reader.arn}"), {TYPES}),
    "T096": (other("aws:ec2/instance:Instance", iamInstanceProfile="${box.name}"), {TYPES}),
    "default-group": (
        other("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", vpcId="${bank-frankfurt-network-vpc.id}"),
        {OBJECTS},
    ),
    "a-policy-that-nobody-can-read": (
        other("aws:iam/rolePolicy:RolePolicy", role="analysts", policy="${document.json}"),
        {OBJECTS},
    ),
    "a-subscriber-on-the-internet": (
        other("aws:sns/topicSubscription:TopicSubscription", protocol="https", endpoint="https://in.example"),
        {OBJECTS},
    ),
    "a-secret-by-name": (
        other("aws:secretsmanager/secretVersion:SecretVersion", secretId="llm/callers"),
        {OBJECTS},
    ),
    "a-policy-of-another-role": (grant("analysts"), {OBJECTS}),
    "a-policy-with-a-wildcard": (grant("analysts", resource="arn:aws:s3:::bank-frankfurt-b*"), {OBJECTS}),
    "a-policy-of-aws": (
        other(
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            role="analysts",
            policyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
        ),
        {OBJECTS},
    ),
}
ROLES: dict[str, tuple[Resource, Resource]] = {
    "T074": (role("t074", {"AWS": OWN_ROLE}), grant("${t074.name}")),
    "T074-key": (role("key", {"AWS": OWN_ROLE}), grant("${key.name}", action="kms:Decrypt", resource=KEY)),
    "T075": (role("mobile", {"Federated": "accounts.google.com"}), grant("${mobile.name}")),
    "by-name": (role("by-name", {"AWS": OWN_ROLE}, name="plain"), grant("plain")),
    "by-chain": (
        role("outer", {"AWS": OWN_ROLE}),
        role("inner", {"AWS": "${outer.arn}"}, inlinePolicies=[{"name": "in", "policy": document()}]),
    ),
}


def named(rows: Mapping[str, Resource]) -> list[Resource]:
    return [replace(row, urn=f"{row.urn}-{name}", name=name) for name, row in rows.items()]


def rules_of(findings: Sequence[Finding]) -> dict[str, set[str]]:
    """Resource → the rules of this file that stop it."""
    found: dict[str, set[str]] = {}
    for finding in findings:
        if finding.policy in (TYPES, OBJECTS, ACCOUNTS, ENDS):
            found.setdefault(finding.resource or "", set()).add(finding.policy)
    return found


def trust(**values: Sequence[str]) -> Settings:
    about = {"reason": "reviewed", "owner": "ana@bank.example"}
    stated = {kind: [{"value": value, **about} for value in entries] for kind, entries in values.items()}
    return Settings(trust=Trust.model_validate(stated))


def test_each_try_of_the_attack_is_undecided_by_its_rule():
    profile = named({"box": other("aws:iam/instanceProfile:InstanceProfile", role="${reader.name}")})
    findings = stops(READER, READS, *profile, *named({name: row for name, (row, _) in ROWS.items()}))
    found = rules_of(findings)
    assert {name: found.get(name, set()) & rules for name, (_, rules) in ROWS.items()} == {
        name: rules for name, (_, rules) in ROWS.items()
    }
    assert {finding.verdict for finding in findings if finding.policy in (TYPES, OBJECTS, ACCOUNTS)} == {
        "undecided"
    }


@pytest.mark.parametrize("row", ROLES, ids=list(ROLES))
def test_a_role_of_own_code_that_gets_to_the_records_needs_its_name_in_the_trust_file(row: str):
    holder, given = ROLES[row]
    findings = [finding for finding in stops(holder, given) if finding.resource == holder.name]
    (found,) = [finding for finding in findings if finding.policy == OBJECTS]
    assert "classified" in found.message
    names = [holder.name, *([given.name] if given.type == holder.type else [])]
    silent = stops(
        holder,
        given,
        settings=trust(objects=names, principals=["accounts.google.com"], accounts=["123456789012"]),
    )
    assert not rules_of(silent)


def test_one_entry_allows_a_second_setting_of_the_platforms_bucket():
    added = ROWS["T072"][0]
    assert set(rules_of(stops(added))) == {"added"}
    assert not rules_of(stops(added, settings=trust(objects=["added"])))


def test_an_account_number_is_trusted_by_its_account_and_by_the_arn_or_bucket_that_bears_it():
    alarm, copied = (
        ROWS["T093"][0],
        other("aws:s3/bucketLogging:BucketLogging", bucket="${mine.id}", targetBucket=f"x-{FOREIGN}"),
    )
    mine = named({"mine": other("aws:s3/bucket:Bucket")})
    assert rules_of(stops(alarm)) == {"added": {ACCOUNTS}}
    assert not rules_of(stops(alarm, settings=trust(accounts=[FOREIGN])))
    assert rules_of(stops(*mine, copied)) == {"added": {ACCOUNTS}}
    assert not rules_of(stops(*mine, copied, settings=trust(buckets=[f"x-{FOREIGN}"])))


def test_the_last_part_of_a_uuid_and_longer_numbers_are_no_accounts():
    texts = ["5f0c7a4e-1111-2222-3333-444455556666", "1234567890123", "sg-0123456789ab", "9" * 40]
    alarm = other("aws:cloudwatch/metricAlarm:MetricAlarm", alarmDescription=" ".join(texts))
    assert not rules_of(stops(alarm))


def test_an_organisation_that_a_policy_lets_in_must_be_trusted():
    body = document({"AWS": "*"}, Condition={"StringEquals": {"aws:PrincipalOrgID": "o-attacker123"}})
    topic = named({"mine": other("aws:sns/topic:Topic", kmsMasterKeyId="${key.arn}")})
    shared = other("aws:sns/topicPolicy:TopicPolicy", arn="${mine.arn}", policy=body)
    assert rules_of(stops(*topic, shared)) == {"added": {ACCOUNTS}}
    assert not rules_of(stops(*topic, shared, settings=trust(principals=["o-attacker123"])))


HARMLESS = {
    "own-bucket": other("aws:s3/bucket:Bucket", bucket="team-reports"),
    "own-policy": other(
        "aws:s3/bucketPolicy:BucketPolicy", bucket="${own-bucket.id}", policy=document(resource="x")
    ),
    "own-lifecycle": other(
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", bucket="team-reports"
    ),
    "own-topic": other("aws:sns/topic:Topic"),
    "own-target": other("aws:cloudwatch/eventTarget:EventTarget", arn="${own-topic.arn}"),
    "own-subscriber": other(
        "aws:sns/topicSubscription:TopicSubscription", protocol="email", topic="${own-topic.arn}"
    ),
    "own-profile": other("aws:iam/instanceProfile:InstanceProfile"),
    "own-queue-target": other(
        "aws:cloudwatch/eventTarget:EventTarget", arn="arn:aws:sqs:eu-central-1::queue"
    ),
    "own-key": other("aws:kms/key:Key"),
    "own-key-policy": other("aws:kms/keyPolicy:KeyPolicy", keyId="${own-key.id}"),
    "own-secret": other("aws:secretsmanager/secret:Secret"),
    "own-version": other("aws:secretsmanager/secretVersion:SecretVersion", secretId="${own-secret.id}"),
    "own-network": other("aws:ec2/vpc:Vpc", cidrBlock="10.200.0.0/22"),
    "own-table": other("aws:dynamodb/table:Table"),
    "reads-settings": other(
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        role="audits",
        policyArn="arn:aws:iam::aws:policy/SecurityAudit",
    ),
}


def test_what_own_code_adds_out_of_reach_passes():
    assert not rules_of(stops(*named(HARMLESS)))


UNLISTED = {
    "rule": other("aws:cfg/rule:Rule", source={"owner": "AWS"}),
    "function": other("aws:lambda/function:Function", role="${team-role.arn}"),
    "copies": other("aws:s3/bucketReplicationConfig:BucketReplicationConfig", bucket="team-files"),
}


@pytest.mark.parametrize("row", UNLISTED, ids=list(UNLISTED))
def test_a_type_that_is_on_no_list_needs_one_line(row: str):
    added = UNLISTED[row]
    (finding,) = [finding for finding in stops(added) if finding.policy == TYPES]
    assert "Isthmus does not know whether this type reads or copies" in finding.message
    assert not rules_of(stops(added, settings=trust(resource_types=[added.type])))


@pytest.mark.parametrize("eks_name", ["bank-llm", "llm"])
def test_a_role_for_pods_of_the_platforms_own_cluster_needs_an_entry(eks_name: str):
    own = Cluster(name="frankfurt", site="frankfurt", mode="existing", eks_name=eks_name)
    existing = platform().model_copy(update={"clusters": [own]})
    for named, count in ((eks_name, 1), ("of-another-team", 0)):
        added = other(POD_IDENTITY, clusterName=named, namespace="apps", serviceAccount="tool")
        found = [
            finding.message
            for finding in judge([*rendered().resources, added], existing, today=TODAY)
            if finding.policy == TYPES and finding.resource == added.name
        ]
        assert len(found) == count, found
        assert not found or "gives a role to pods of its cluster" in found[0]


def test_without_classified_work_in_aws_own_code_may_add_what_it_wants():
    added = named({name: row for name, (row, _) in ROWS.items()})
    public = platform_with(
        sites=[Site(name="frankfurt", kind="aws", jurisdiction="de", region="eu-central-1")]
    )
    assert not rules_of(blocking_findings(judge(added, public, today=TODAY)))


SECRET = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:llm/internal-callers"
SECRETS = (
    f"{SECRET}-a1B2c3",
    SECRET,
    "llm/internal-callers",
    json.dumps({"Resource": ["llm/internal-callers"]}),
    f"{SECRET}-*",
    "arn:aws:secretsmanager:eu-central-1:111122223333:secret:llm/*",
)


@pytest.mark.parametrize(
    "named_as",
    SECRETS,
)
def test_a_secret_of_a_gateway_is_known_by_its_arn_its_name_and_a_wildcard(named_as: str):
    gateway = Gateway.model_construct(class_="internal", callers_secret=f"{SECRET}-a1B2c3")
    added = resource_of("aws:secretsmanager/secretVersion:SecretVersion", "callers", {"secretId": named_as})
    beside = resource_of(
        "aws:secretsmanager/secretVersion:SecretVersion", "mine", {"secretId": "llm/own-callers"}
    )
    reach = classified_reach(Subject(Graph([added, beside]), platform_with(gateways=[gateway])))
    assert set(reach) == {added.urn}


def test_every_type_of_the_lists_exists_and_states_its_reason():
    types = {*resource_types("pulumi_aws")}
    listed = {**known_aws.HARMLESS, **dict.fromkeys(known_aws.SETS, "set")}
    assert set(listed) - types == set()
    assert all(listed.values())
    for beginning in (known_aws.SETS_OF_BUCKETS, *known_aws.SETS_OF_REGION):
        assert any(type_.startswith(beginning) for type_ in types), beginning


def test_a_record_that_answers_a_gateways_name_is_undecided():
    host = next(str(gateway.host) for gateway in platform().gateways if gateway.host)
    rows = {"same": host, "all": f"*.{host.partition('.')[2]}", "beside": "evals.tools.bank.example"}
    records = {
        name: resource_of("aws:route53/record:Record", name, {"name": value, "zoneId": "Z1"})
        for name, value in rows.items()
    }
    assert set(rules_of(stops(*named(records)))) == {"same", "all"}


OTHERS_NETWORK = {"name": "tools.bank.example", "vpcs": [{"vpcId": "vpc-0aa11bb22cc33dd44"}]}
ZONE = resource_of("aws:route53/zone:Zone", "tools", OTHERS_NETWORK)
IN_ZONE = {"name": "evals.tools.bank.example", "zoneId": "${tools.zoneId}"}
TRUSTS_ZONES = trust(resource_types=[ZONE.type])


def test_a_record_follows_its_zone_of_own_code_if_zones_are_trusted():
    record = resource_of("aws:route53/record:Record", "added", IN_ZONE)
    assert set(rules_of(stops(ZONE, record))) == {"tools", "added"}
    assert not rules_of(stops(ZONE, record, settings=TRUSTS_ZONES))


ELSEWHERE = {
    "id": {"zoneId": "Z0123456789ABCDEFGHIJ", "alias": {"zoneId": "vpce-0aa11bb22cc33dd44"}},
    "component": {"zoneId": "${bank-frankfurt-network-vpc.id}"},
    "joined": {"zoneId": "${tools.zoneId}${bank-frankfurt-network-vpc.id}"},
}


@pytest.mark.parametrize("row", ELSEWHERE)
def test_a_record_outside_a_trusted_zone_stays_undecided(row: str):
    record = resource_of("aws:route53/record:Record", "added", {**IN_ZONE, **ELSEWHERE[row]})
    assert "added" in rules_of(stops(ZONE, record, settings=TRUSTS_ZONES))


@pytest.mark.parametrize("name", ["${elsewhere.name}", ""])
def test_a_record_in_a_trusted_zone_of_a_gateways_host_stays_undecided(name: str):
    host = next(str(gateway.host) for gateway in platform().gateways if gateway.host)
    for zone_name in (name, host, f"{host.partition('.')[2]}."):
        zone = replace(ZONE, inputs={**ZONE.inputs, "name": zone_name})
        record = resource_of(
            "aws:route53/record:Record", "added", {**IN_ZONE, "name": host.partition(".")[0]}
        )
        assert "added" in rules_of(stops(zone, record, settings=TRUSTS_ZONES)), zone_name


NAMES = ("aws:ecs/cluster:Cluster", "aws:ecs/service:Service", "aws:route53/record:Record")
_COMPONENT = "urn:pulumi:dev::bank::isthmus:index:FargateGateway"


def parameter(*kinds: str, gone: str = "", **inputs: Any) -> list[Resource]:
    """A parameter whose masked value comes from resources of these types of a component, and those resources.

    `gone`: a further URN that it comes from, which is of no resource.
    """
    sources = [
        replace(resource_of(kind, f"source-{number}", {}), urn=f"{_COMPONENT}${kind}::source-{number}")
        for number, kind in enumerate(kinds)
    ]
    about = {"name": "/llm/gateways", "type": "String", "value": "[secret]", **inputs}
    added = resource_of("aws:ssm/parameter:Parameter", "added", about)
    urns = [*(source.urn for source in sources), *filter(None, [gone])]
    return [*sources, replace(added, property_dependencies={"value": urns})]


def test_a_plain_parameter_with_the_gateways_addresses_passes():
    assert not rules_of(stops(*parameter(*NAMES)))


PARAMETERS = {
    "secure": parameter(*NAMES, type="SecureString"),
    "key": parameter(*NAMES, "aws:kms/key:Key"),
    "role": parameter("aws:iam/role:Role"),
    "image": parameter(*NAMES, dataType="aws:ec2:image"),
    "replaces": parameter(*NAMES, overwrite=True),
    "reference": parameter(*NAMES, description="${bank-frankfurt-bucket.bucket}"),
    "password": parameter(*NAMES, "random:index/randomPassword:RandomPassword"),
    "unseen": parameter(*NAMES, gone="urn:pulumi:test::isthmus::kubernetes:core/v1:Secret::gone"),
}


@pytest.mark.parametrize("row", PARAMETERS)
def test_a_parameter_of_anything_else_of_the_platform_is_undecided(row: str):
    assert TYPES in rules_of(stops(*PARAMETERS[row]))["added"]
