"""Credentials for a certificate: given to whom they are due, refused to everyone else."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.aws_sandbox.authority import (
    DAY,
    Authority,
    Identity,
    create_session,
    ec_key,
    encoded,
    rsa_key,
    usage_of,
)
from tests.aws_sandbox.driver import REGION, World, document

NAME = "payments.translators.bank.example"
UNTRUSTED = "Untrusted signing certificate"
INSUFFICIENT = "Untrusted certificate. Insufficient certificate"


@dataclass
class Site:
    """An anchor, a profile and a role that a certificate for `NAME` of `authority` may have."""

    world: World
    authority: Authority
    anchor: dict[str, Any]
    profile: dict[str, Any]
    role: str
    role_arn: str

    @property
    def arns(self) -> dict[str, str]:
        return {
            "trustAnchorArn": self.anchor["trustAnchorArn"],
            "profileArn": self.profile["profileArn"],
            "roleArn": self.role_arn,
        }

    def ask(self, identity: Identity, **more: Any) -> tuple[int, dict[str, Any], str]:
        return create_session(self.world.url, identity, {**self.arns, **more.pop("arns", {})}, **more)

    def refused(self, identity: Identity, fragments: str, code: int = 403, **more: Any) -> None:
        status, answer, kind = self.ask(identity, **more)
        assert (status, answer.get("message", "").split("\n")[0]) == (code, fragments)
        assert "credentialSet" not in answer
        assert kind == "AccessDeniedException" or code != 403

    def trusting(self, *statements: dict[str, Any]) -> None:
        """Give the role another trust policy."""
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self.world.boto("iam").update_assume_role_policy(RoleName=self.role, PolicyDocument=policy)

    def unable(self) -> str:
        return f"Unable to assume role for {self.role_arn}"


def statement(anchor: str, **more: Any) -> dict[str, Any]:
    """The statement that the user guide advises: this anchor, this name."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": "rolesanywhere.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
        "Condition": {
            "ArnEquals": {"aws:SourceArn": anchor},
            "StringEquals": {"aws:PrincipalTag/x509Subject/CN": NAME, "aws:PrincipalTag/x509SAN/DNS": NAME},
        },
        **more,
    }


@pytest.fixture
def site(world: World) -> Site:
    boto, authority = world.boto("rolesanywhere"), Authority("Bank root")
    role = world.role()
    role_arn = world.boto("iam").get_role(RoleName=role)["Role"]["Arn"]
    source = {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": authority.pem}}
    anchor = boto.create_trust_anchor(name="site", source=source, enabled=True)["trustAnchor"]
    profile = boto.create_profile(
        name="payments",
        roleArns=[role_arn],
        enabled=True,
        durationSeconds=1800,
        sessionPolicy=document("bedrock:InvokeModel"),
    )["profile"]
    new_site = Site(world, authority, anchor, profile, role, role_arn)
    new_site.trusting(statement(anchor["trustAnchorArn"]))
    return new_site


# -- whom they are due


@pytest.mark.parametrize("key", [ec_key, rsa_key])
@pytest.mark.parametrize("in_query", [True, False])
def test_a_certificate_of_the_anchor_gets_the_role_s_credentials(
    site: Site, key: Any, in_query: bool
) -> None:
    identity = site.authority.issue(NAME, key=key())
    status, answer, _ = site.ask(identity, in_query=in_query)
    assert status == 201
    [actual] = answer["credentialSet"]
    serial = f"{identity.certificate.serial_number:x}"
    assert actual["roleArn"] == site.role_arn
    assert actual["sourceIdentity"] == NAME
    assert actual["assumedRoleUser"]["arn"].endswith(f":assumed-role/{site.role}/{serial}")
    assert answer["subjectArn"].startswith(f"arn:aws:rolesanywhere:{REGION}:123456789012:subject/")
    assert actual["credentials"]["accessKeyId"].startswith("ASIA")
    end = datetime.datetime.fromisoformat(actual["credentials"]["expiration"])
    left = end - datetime.datetime.now(datetime.UTC)
    assert 1700 < left.total_seconds() <= 1800, "the profile's duration"


def test_the_credentials_are_the_role_s_to_whom_asks(site: Site) -> None:
    import boto3

    _, answer, _ = site.ask(site.authority.issue(NAME))
    held = answer["credentialSet"][0]["credentials"]
    sts = boto3.client(
        "sts",
        endpoint_url=site.world.url,
        region_name=REGION,
        aws_access_key_id=held["accessKeyId"],
        aws_secret_access_key=held["secretAccessKey"],
        aws_session_token=held["sessionToken"],
    )
    assert sts.get_caller_identity()["Arn"] == answer["credentialSet"][0]["assumedRoleUser"]["arn"]


def test_an_authority_between_is_followed_when_the_request_brings_it(site: Site) -> None:
    issuing = Authority("Bank issuing", above=site.authority)
    identity = issuing.issue(NAME)
    assert identity.chain
    assert site.ask(identity)[0] == 201
    site.refused(Identity(identity.certificate, identity.key), UNTRUSTED)


def test_a_renewed_certificate_gets_a_session_of_its_own(site: Site) -> None:
    first, second = (site.ask(site.authority.issue(NAME))[1] for _ in range(2))
    assert first["subjectArn"] == second["subjectArn"], "one subject"
    users = [subject["credentialSet"][0]["assumedRoleUser"]["arn"] for subject in (first, second)]
    assert users[0] != users[1], "named by serial number"


def test_a_shorter_session_is_given_and_a_longer_one_is_the_profile_s(site: Site) -> None:
    for expected, values in ((900, 900), (3600, 1800)):
        _, answer, _ = site.ask(site.authority.issue(NAME), body={"durationSeconds": expected})
        end = datetime.datetime.fromisoformat(answer["credentialSet"][0]["credentials"]["expiration"])
        left = (end - datetime.datetime.now(datetime.UTC)).total_seconds()
        assert values - 100 < left <= values


# -- certificates that prove nothing


def test_a_foreign_authority_s_certificate_is_refused(site: Site) -> None:
    site.refused(Authority("Bank root").issue(NAME), UNTRUSTED)


def test_a_certificate_that_signed_itself_is_refused(site: Site) -> None:
    alone = Authority(NAME, is_authority=False)
    site.refused(Identity(alone.certificate, alone.key), INSUFFICIENT)


@pytest.mark.parametrize(("before", "after"), [(3 * DAY, -DAY), (-DAY, 3 * DAY)])
def test_a_certificate_out_of_its_dates_is_refused(site: Site, before: Any, after: Any) -> None:
    site.refused(site.authority.issue(NAME, before=before, after=after), UNTRUSTED)


def test_an_authority_past_its_date_vouches_for_nobody(site: Site) -> None:
    old = Authority("Old root", before=30 * DAY, after=-DAY)
    source = {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": old.pem}}
    id = site.anchor["trustAnchorId"]
    site.world.boto("rolesanywhere").update_trust_anchor(trustAnchorId=id, source=source)
    site.refused(old.issue(NAME), UNTRUSTED)


def test_an_authority_that_does_not_say_that_it_signs_vouches_for_nobody(site: Site) -> None:
    silent = Authority("Silent", above=site.authority, says_usage=False)
    site.refused(silent.issue(NAME), UNTRUSTED)
    other = Authority("Other use", above=site.authority, usage=usage_of(crl_sign=True))
    site.refused(other.issue(NAME), UNTRUSTED)


def test_another_s_certificate_without_its_key_is_refused(site: Site) -> None:
    theirs = site.authority.issue(NAME)
    site.refused(Identity(theirs.certificate, ec_key()), "Invalid signature")
    site.refused(Identity(theirs.certificate, rsa_key()), "Invalid signature")


def test_a_certificate_that_is_not_for_signing_or_is_an_authority_is_refused(site: Site) -> None:
    site.refused(site.authority.issue(NAME, signs=False), INSUFFICIENT)
    site.refused(site.authority.issue(NAME, is_authority=True), INSUFFICIENT)


def test_an_end_s_certificate_cannot_vouch_for_another(site: Site) -> None:
    mine = site.authority.issue("tenant.bank.example")
    false = Authority("false")
    false.key, false.certificate = mine.key, mine.certificate
    false.name = mine.certificate.subject
    created = false.issue(NAME)
    site.refused(Identity(created.certificate, created.key, (mine.certificate,)), UNTRUSTED)


# -- requests that are not what was signed


def test_a_request_changed_after_signing_is_refused(site: Site) -> None:
    identity = site.authority.issue(NAME)
    site.refused(identity, "Invalid signature", change={"Content-Type": "text/plain"})
    other = site.authority.issue(NAME)
    site.refused(identity, "Invalid signature", change={"X-Amz-X509": encoded(other.certificate)})


def test_an_old_request_is_refused(site: Site) -> None:
    late = datetime.timedelta(minutes=30)
    site.refused(site.authority.issue(NAME), "Invalid signature", late=late)
    site.refused(site.authority.issue(NAME), "Invalid signature", late=-late)


def test_a_request_with_a_chain_that_was_not_signed_is_refused(site: Site) -> None:
    chain = {"X-Amz-X509-Chain": encoded(site.authority.certificate)}
    site.refused(site.authority.issue(NAME), "Invalid signature", change=chain)


def test_a_request_that_names_another_certificate_s_number_is_refused(site: Site) -> None:
    site.refused(site.authority.issue(NAME), "Invalid signature", serial=17)


def test_a_request_signed_in_another_way_is_refused(site: Site) -> None:
    wrong = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-central-1/rolesanywhere/aws4_request, "
        "SignedHeaders=host, Signature=00"
    }
    site.refused(site.authority.issue(NAME), "Missing Authentication Token", change=wrong)


# -- what the account does not allow


def test_a_disabled_anchor_or_profile_gives_nothing(site: Site) -> None:
    boto, identity = site.world.boto("rolesanywhere"), site.authority.issue(NAME)
    boto.disable_trust_anchor(trustAnchorId=site.anchor["trustAnchorId"])
    site.refused(identity, "Trust anchor is disabled")
    boto.enable_trust_anchor(trustAnchorId=site.anchor["trustAnchorId"])
    boto.disable_profile(profileId=site.profile["profileId"])
    site.refused(identity, "Profile is disabled")
    boto.enable_profile(profileId=site.profile["profileId"])
    assert site.ask(identity)[0] == 201


def test_a_role_that_is_not_in_the_profile_is_refused(site: Site) -> None:
    other = site.world.role_arn()
    site.refused(
        site.authority.issue(NAME), f"The role {other} is not in the profile", arns={"roleArn": other}
    )


@pytest.mark.parametrize(("name", "dns"), [("lending.bank.example", NAME), (NAME, "lending.bank.example")])
def test_a_certificate_of_another_name_is_refused(site: Site, name: str, dns: str) -> None:
    site.refused(site.authority.issue(name, dns=dns), site.unable())


def test_another_anchor_of_the_account_does_not_open_the_role(site: Site) -> None:
    other = Authority("Branch root")
    source = {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": other.pem}}
    boto = site.world.boto("rolesanywhere")
    anchor = boto.create_trust_anchor(name="branch", source=source, enabled=True)["trustAnchor"]
    site.refused(other.issue(NAME), site.unable(), arns={"trustAnchorArn": anchor["trustAnchorArn"]})


@pytest.mark.parametrize("missing", ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"])
def test_a_role_must_allow_all_that_a_session_does(site: Site, missing: str) -> None:
    allowed = [one for one in ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity") if one != missing]
    site.trusting(statement(site.anchor["trustAnchorArn"], Action=allowed))
    site.refused(site.authority.issue(NAME), site.unable())


def test_a_role_that_trusts_another_service_is_refused(site: Site) -> None:
    principal = {"Service": "ec2.amazonaws.com"}
    site.trusting(statement(site.anchor["trustAnchorArn"], Principal=principal))
    site.refused(site.authority.issue(NAME), site.unable())


def test_a_session_longer_than_the_role_allows_is_refused_in_aws_s_words(site: Site) -> None:
    boto = site.world.boto("rolesanywhere")
    boto.update_profile(profileId=site.profile["profileId"], durationSeconds=43200)
    status, answer, _ = site.ask(site.authority.issue(NAME))
    assert status == 403
    assert "exceeds the MaxSessionDuration" in answer["message"]
    assert site.ask(site.authority.issue(NAME), body={"durationSeconds": 3600})[0] == 201


def test_a_session_is_named_by_the_caller_only_where_the_profile_takes_it(site: Site) -> None:
    identity, body = site.authority.issue(NAME), {"roleSessionName": "translator"}
    site.refused(identity, "Not authorized to set roleSessionName.", body=body)
    boto = site.world.boto("rolesanywhere")
    boto.update_profile(profileId=site.profile["profileId"], acceptRoleSessionName=True)
    status, answer, _ = site.ask(identity, body=body)
    assert status == 201
    assert answer["credentialSet"][0]["assumedRoleUser"]["arn"].endswith("/translator")


@pytest.mark.parametrize("name", ["trustAnchorArn", "profileArn"])
def test_an_anchor_or_profile_that_is_not_there_is_not_found(site: Site, name: str) -> None:
    none = site.arns[name][:-4] + "0000"
    status, _, kind = site.ask(site.authority.issue(NAME), arns={name: none})
    assert (status, kind) == (404, "ResourceNotFoundException")
    elsewhere = site.arns[name].replace(REGION, "eu-west-1")
    assert site.ask(site.authority.issue(NAME), arns={name: elsewhere})[0] == 404


@pytest.mark.parametrize("body", [{"durationSeconds": 60}, {"durationSeconds": "900"}, {"roleArn": 7}])
def test_a_parameter_of_the_wrong_form_is_refused(site: Site, body: dict[str, Any]) -> None:
    arns = dict(site.arns) if "roleArn" not in body else {**site.arns, "roleArn": "role"}
    status, _, kind = create_session(site.world.url, site.authority.issue(NAME), arns, body=body)
    assert (status, kind) == (400, "ValidationException")


def test_after_a_reset_nobody_is_known(site: Site) -> None:
    identity = site.authority.issue(NAME)
    assert site.ask(identity)[0] == 201
    site.world.forget()
    assert site.ask(identity)[2] == "ResourceNotFoundException"


# -- an anchor takes authorities only


def test_an_anchor_takes_no_end_s_certificate_and_no_nonsense(world: World) -> None:
    boto = world.boto("rolesanywhere")
    end = Authority("end", is_authority=False).pem
    three = "".join(Authority(name).pem for name in "abc")
    for data in (end, three, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "nothing"):
        source = {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": data}}
        with pytest.raises(boto.exceptions.ValidationException):
            boto.create_trust_anchor(name="wrong", source=source)
    source = {"sourceType": "AWS_ACM_PCA", "sourceData": {"x509CertificateData": Authority("x").pem}}
    with pytest.raises(boto.exceptions.ValidationException):
        boto.create_trust_anchor(name="wrong", source=source)
