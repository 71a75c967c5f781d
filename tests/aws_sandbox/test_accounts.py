"""A provider that assumes a role works in the role's account; whom the role does not let in is told so."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pulumi.runtime.proto import provider_pb2 as pb

from sandbox.aws.struct_values import struct
from tests.aws_sandbox.authority import Authority, create_session
from tests.aws_sandbox.driver import REGION, Client, Refusal, World, trust
from tests.aws_sandbox.faults import put

pytestmark = pytest.mark.usefixtures("healed", "at_once")

OWN, THEIRS = "123456789012", "210987654321"
BUCKET, ROLE, GUARDRAIL = "aws:s3/bucket:Bucket", "aws:iam/role:Role", "aws:bedrock/guardrail:Guardrail"
ARN = f"arn:aws:iam::{THEIRS}:role/deploy/isthmus"
SERVICES = ("s3", "iam", "sts", "bedrock", "kms", "ec2", "servicequotas")


def assuming(client: Client, world: World, arn: str = ARN, **more: Any) -> Client:
    """The client, as stacks/providers.py sets a site with `assume_role`."""
    role = {"roleArn": arn, "sessionName": "isthmus", **more}
    client.configure(
        region=REGION, endpoints=[dict.fromkeys(SERVICES, world.url)], assumeRoles=[role], maxRetries=1
    )
    return client


def session(world: World, arn: str = ARN, keys: Any = None, **more: Any) -> Any:
    """boto3 as another hand in the role's account."""
    import boto3

    sts = keys.client("sts", endpoint_url=world.url) if keys else world.boto("sts")
    answer = sts.assume_role(RoleArn=arn, RoleSessionName="other", **more)["Credentials"]
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    return boto3.Session(*(answer[name] for name in names), region_name=REGION)


def theirs(world: World, service: str) -> Any:
    return session(world).client(service, endpoint_url=world.url)


def lets_in(principal: Any, condition: Any = None, effect: str = "Allow") -> dict[str, Any]:
    created = {"Effect": effect, "Principal": principal, "Action": "sts:AssumeRole"}
    return {**created, **({"Condition": condition} if condition else {})}


def role(world: World, *statements: dict[str, Any], account: str = THEIRS, **more: Any) -> str:
    """The ARN of a role in that account, with that trust policy."""
    iam = theirs(world, "iam") if account == THEIRS else world.boto("iam")
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    role = iam.create_role(RoleName=world.name("deploy"), AssumeRolePolicyDocument=document, **more)
    return str(role["Role"]["Arn"])


# -- whose it is


def test_what_a_provider_with_a_role_makes_is_in_the_role_s_account(bare: Client, world: World) -> None:
    client = assuming(bare, world)
    assert client.invoke("aws:index/getCallerIdentity:getCallerIdentity")["accountId"] == THEIRS

    bucket, _ = client.create(BUCKET, client.checked(BUCKET, {"bucket": world.name("theirs")}))
    created, state = client.create(ROLE, client.checked(ROLE, {"assumeRolePolicy": trust()}))
    filters = {
        "name": world.name("guard"),
        "blockedInputMessaging": "no",
        "blockedOutputsMessaging": "no",
        "wordPolicyConfig": {"wordsConfigs": [{"text": "password"}]},
    }
    guarded_by, guarded = client.create(GUARDRAIL, client.checked(GUARDRAIL, filters))
    guardrail = guarded_by.split(",")[0]

    assert state["arn"].startswith(f"arn:aws:iam::{THEIRS}:role/")
    assert guarded["guardrailArn"].startswith(f"arn:aws:bedrock:{REGION}:{THEIRS}:guardrail/")
    actual = {name: _names(theirs, world, name) for name in ("s3", "iam", "bedrock")}
    assert bucket in actual["s3"]
    assert created in actual["iam"]
    assert guardrail in actual["bedrock"]
    ours = {name: _names(lambda world, name: world.boto(name), world, name) for name in actual}
    assert bucket not in ours["s3"]
    assert created not in ours["iam"]
    assert guardrail not in ours["bedrock"]
    for token, id, retained in (
        (BUCKET, bucket, {}),
        (ROLE, created, state),
        (GUARDRAIL, guarded_by, guarded),
    ):
        client.delete(token, id, retained)
    assert bucket not in _names(theirs, world, "s3")
    assert guardrail not in _names(theirs, world, "bedrock")


def _names(clients: Any, world: World, service: str) -> list[str]:
    client = clients(world, service)
    if service == "s3":
        return [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    if service == "iam":
        return [role["RoleName"] for role in client.list_roles()["Roles"]]
    return [role["id"] for role in client.list_guardrails()["guardrails"]]


def test_without_a_role_it_works_in_the_sandbox_s_own_account(client: Client) -> None:
    assert client.invoke("aws:index/getCallerIdentity:getCallerIdentity")["accountId"] == OWN


def test_the_account_that_is_allowed_is_the_role_s(bare: Client, world: World) -> None:
    config = {"region": REGION, "endpoints": [{"sts": world.url}], "assumeRoles": [{"roleArn": ARN}]}
    bare.configure(**config, allowedAccountIds=[THEIRS])
    with pytest.raises(Refusal, match=f"account is {THEIRS}, which"):
        bare.configure(**config, allowedAccountIds=[OWN])


def test_one_role_is_assumed_from_the_other(bare: Client, world: World) -> None:
    """The last role lets in nobody but a session of the first."""
    last = role(world, lets_in({"AWS": ARN.replace(THEIRS, "333333333333")}))
    chain = [{"roleArn": ARN.replace(THEIRS, "333333333333")}, {"roleArn": last}]
    config = {"region": REGION, "endpoints": [{"sts": world.url}]}
    bare.configure(**config, assumeRoles=chain)
    assert bare.invoke("aws:index/getCallerIdentity:getCallerIdentity")["accountId"] == THEIRS
    with pytest.raises(Refusal, match=f"is not authorized to perform: sts:AssumeRole on resource: {last}"):
        bare.configure(**config, assumeRoles=chain[1:])


def test_a_session_that_is_about_to_end_is_made_anew(bare: Client, world: World) -> None:
    from moto.sts.models import sts_backends

    client = assuming(bare, world, duration="15m")
    sessions = sts_backends[OWN]["aws"].assumed_roles + sts_backends[THEIRS]["aws"].assumed_roles
    retained = [session for session in sessions if session.session_name == "isthmus"]
    left = retained[-1].expiration - datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    assert 890 < left.total_seconds() <= 900, "asked for as long as was said"
    # botocore renews a session in its last quarter of an hour.
    assert client.create(BUCKET, {"bucket": world.name("renewed")})[0] in _names(theirs, world, "s3")
    later = sts_backends[THEIRS]["aws"].assumed_roles
    assert len([session for session in later if session.session_name == "isthmus"]) > len(retained)


def test_a_token_of_one_account_is_not_taken_for_another_s(world: World) -> None:
    request = {"Name": world.name("secret"), "SecretString": "x", "ClientRequestToken": "t" * 32}
    assert f":{OWN}:" in world.boto("secretsmanager").create_secret(**request)["ARN"]
    assert f":{THEIRS}:" in theirs(world, "secretsmanager").create_secret(**request)["ARN"]


def test_the_header_by_which_moto_chooses_an_account_chooses_none(world: World) -> None:
    sts = World(world.url).boto("sts")
    header = {"x-moto-account-id": THEIRS}
    sts.meta.events.register("before-send", lambda request, **_: request.headers.update(header))
    assert sts.get_caller_identity()["Account"] == OWN


def test_a_quota_can_be_set_in_another_account(world: World) -> None:
    name = "Cross-region model inference tokens per minute for Amazon Nova Lite"

    def quota(client: Any) -> float:
        actual = client.list_service_quotas(ServiceCode="bedrock")["Quotas"]
        return next(quota["Value"] for quota in actual if quota["QuotaName"] == name)

    before = quota(world.boto("service-quotas"))
    world.put(
        "/isthmus/service-quotas",
        {"region": REGION, "account": THEIRS, "quotas": [{"quotaName": name, "value": before + 7}]},
    )
    assert quota(theirs(world, "service-quotas")) == before + 7
    assert quota(world.boto("service-quotas")) == before


def test_a_certificate_gets_credentials_in_the_account_of_its_trust_anchor(world: World) -> None:
    import boto3

    authority, boto = Authority("Bank root"), theirs(world, "rolesanywhere")
    source = {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": authority.pem}}
    anchor = boto.create_trust_anchor(name="site", source=source, enabled=True)["trustAnchor"]
    arn = role(
        world,
        {
            "Effect": "Allow",
            "Principal": {"Service": "rolesanywhere.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
        },
    )
    profile = boto.create_profile(name="p", roleArns=[arn], enabled=True)["profile"]
    arns = {
        "trustAnchorArn": anchor["trustAnchorArn"],
        "profileArn": profile["profileArn"],
        "roleArn": arn,
    }
    status, answer, _ = create_session(world.url, authority.issue("payments"), arns)
    assert status == 201, answer
    keys = answer["credentialSet"][0]["credentials"]
    mine = boto3.Session(keys["accessKeyId"], keys["secretAccessKey"], keys["sessionToken"], REGION)
    assert mine.client("sts", endpoint_url=world.url).get_caller_identity()["Account"] == THEIRS


# -- who is let in


EXTERNAL = {"StringEquals": {"sts:ExternalId": "bank-4711"}}


@pytest.mark.parametrize(
    "statement",
    [
        lets_in({"AWS": OWN}),
        lets_in({"AWS": f"arn:aws:iam::{OWN}:root"}),
        lets_in({"AWS": [f"arn:aws:iam::{OWN}:role/ci", "444444444444"]}),
        lets_in("*"),
        lets_in({"AWS": OWN}, EXTERNAL),
        lets_in({"AWS": OWN}, {"StringLike": {"sts:RoleSessionName": "isth*"}}),
    ],
)
def test_whom_the_role_s_trust_policy_names_gets_in(
    bare: Client, world: World, statement: dict[str, Any]
) -> None:
    arn = role(world, statement)
    client = assuming(bare, world, arn, externalId="bank-4711")
    identity = client.invoke("aws:index/getCallerIdentity:getCallerIdentity")
    assert identity["arn"] == f"arn:aws:sts::{THEIRS}:assumed-role/{arn.split('/')[-1]}/isthmus"


@pytest.mark.parametrize(
    ("statements", "values"),
    [
        ([lets_in({"AWS": OWN}, EXTERNAL)], {}),
        ([lets_in({"AWS": OWN}, EXTERNAL)], {"externalId": "bank-0815"}),
        ([lets_in({"AWS": "444444444444"})], {}),
        ([lets_in({"Service": "ec2.amazonaws.com"})], {}),
        ([lets_in({"AWS": OWN}), lets_in("*", effect="Deny")], {}),
        ([lets_in({"AWS": OWN}, {"Bool": {"aws:MultiFactorAuthPresent": "true"}})], {}),
        ([lets_in({"AWS": OWN})], {"tags": {"team": "x"}}),
    ],
    ids=["no-id", "wrong-id", "another-account", "a-service", "denied", "not-understood", "no-tags"],
)
def test_whom_it_does_not_name_is_refused_in_aws_s_words_and_told_where_to_look(
    bare: Client, world: World, statements: list[dict[str, Any]], values: dict[str, Any]
) -> None:
    arn = role(world, *statements)
    with pytest.raises(Refusal) as refusal:
        assuming(bare, world, arn, **values)
    message = str(refusal.value)
    assert f"is not authorized to perform: sts:AssumeRole on resource: {arn} (AccessDenied)" in message
    assert "Check the role's trust policy" in message
    assert "bank-" not in message, "an external id is not repeated"
    with pytest.raises(Refusal, match="not configured"):
        bare.create(BUCKET, {"bucket": world.name("never")})


def test_an_unknown_role_is_refused_in_the_account_that_the_sandbox_knows(bare: Client, world: World) -> None:
    with pytest.raises(Refusal, match="AccessDenied"):
        assuming(bare, world, f"arn:aws:iam::{OWN}:role/nobody-made-it")
    known = role(world, lets_in({"AWS": OWN}), account=OWN)
    assuming(bare, world, known)


@pytest.mark.parametrize("duration", ["1m", "13h"])
def test_a_session_is_as_long_as_the_role_allows(bare: Client, world: World, duration: str) -> None:
    arn = role(world, lets_in({"AWS": OWN}), MaxSessionDuration=43200)
    with pytest.raises(Refusal, match=arn):
        assuming(bare, world, arn, duration=duration)
    assuming(bare, world, arn, duration="12h")


def test_from_a_role_s_session_another_one_is_had_for_an_hour_at_most(world: World) -> None:
    arn = role(world, lets_in("*"), MaxSessionDuration=43200)
    with pytest.raises(ClientError, match="1 hour session limit"):
        session(world, arn, keys=session(world), DurationSeconds=7200)


@pytest.mark.parametrize("kind", ["throttle", "server-error", "timeout", "drop"])
def test_a_role_is_assumed_again_when_aws_fails_and_its_failing_is_said(
    bare: Client, world: World, kind: str
) -> None:
    put(world, "sts", "AssumeRole", kind)
    assuming(bare, world)
    put(world, "sts", "AssumeRole", kind, times=9)
    with pytest.raises(Refusal) as refusal:
        assuming(bare, world)
    message = str(refusal.value)
    assert "assume_role of sts failed at each of 2 tries" in message
    assert ARN in message


# -- what is no role


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        ([{"roleArn": "arn:aws:s3:::bucket"}], "is not the ARN of a role"),
        ([{"sessionName": "x"}], "is not the ARN of a role"),
        ([{"roleArn": ARN, "externalID": "x"}], "Did you mean `externalId`?"),
        ([{"roleArn": ARN, "duration": "soon"}], "1h, 30m or 1h30m"),
        (["isthmus"], "a list of roles"),
    ],
)
def test_what_is_no_role_is_named_before_anything_is_asked(
    bare: Client, world: World, roles: list[Any], reason: str
) -> None:
    ((name, output),) = bare.check_config(region=REGION, assumeRoles=roles)
    assert name == "assumeRoles"
    assert reason in output
    with pytest.raises(Refusal):
        bare.configure(region=REGION, endpoints=[{"sts": world.url}], assumeRoles=roles)


def test_another_account_is_another_provider_and_another_role_there_is_not(bare: Client) -> None:
    def replaces(old: str | None, new: str | None) -> list[str]:
        olds, news = (
            {"region": REGION, **({"assumeRoles": json.dumps([{"roleArn": arn}])} if arn else {})}
            for arn in (old, new)
        )
        request = pb.DiffRequest(olds=struct(olds), old_inputs=struct(olds), news=struct(news))
        return list(bare.stub.DiffConfig(request).replaces)

    assert replaces(ARN, ARN.replace(THEIRS, OWN)) == ["assumeRoles"]
    assert replaces(ARN, f"arn:aws:iam::{THEIRS}:role/other") == []
    assert replaces(None, ARN) == [], "whether the keys' own account is another one is not known"
