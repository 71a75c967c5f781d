"""IAM Roles Anywhere's `CreateSession`: a certificate for an hour's credentials (`POST /sessions`).

Everything is verified as AWS does: the signature over the request, the certificate's chain to the trust
anchor, its dates, anchor and profile enabled, the role listed and its trust policy's conditions held. The
credentials are those of moto's STS, so that `GetCallerIdentity` knows the role. Not kept: revocation lists.

The shapes are those of the user guide ("CreateSession API", read 2026-11-25) and of the credential helper,
which sends the ARNs in the query, the duration in the body.
"""

from __future__ import annotations

import datetime
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from sandbox.aws.beside import certificates, trust_policies
from sandbox.aws.beside.certificates import Signed, denied
from sandbox.aws.beside.naming import arn as own_arn
from sandbox.aws.beside.naming import now
from sandbox.aws.beside.rolesanywhere import Entry, anchor, profile
from sandbox.aws.beside.rolesanywhere import certificates as bundle
from sandbox.aws.pages import Got, Page
from sandbox.aws.resources import partition
from sandbox.aws.service_frame import Asked, Refused

_SHORTEST, _LONGEST = 900, 43200


def create_session(got: Got) -> tuple[int, Any]:
    """201 and the credentials. Raises `Refused`."""
    wanted = _wanted(got)
    moment = now()
    signer = certificates.signed(got, moment)
    asked = Asked({}, signer.region, _account(wanted["trustAnchorArn"], got.account))
    trusted = anchor(asked, _of(asked, wanted["trustAnchorArn"], "trust-anchor"))
    chosen = profile(asked, _of(asked, wanted["profileArn"], "profile"))
    if not trusted["enabled"]:
        raise denied("Trust anchor is disabled")
    certificates.check_trusted(signer, _authorities(asked, trusted), moment)
    if not chosen["enabled"]:
        raise denied("Profile is disabled")
    role_arn = wanted["roleArn"]
    if role_arn not in chosen["roleArns"]:
        raise denied(f"The role {role_arn} is not in the profile")
    name = _session_name(wanted, chosen, signer)
    role = _role(asked, role_arn)
    tags = certificates.tags(signer.certificate)
    _check_trust(role, role_arn, trusted, tags, name, asked)
    seconds = min(wanted.get("durationSeconds") or chosen["durationSeconds"], chosen["durationSeconds"])
    if seconds > role.max_session_duration:
        raise denied(
            f"Unable to assume role for {role_arn}\nThe requested DurationSeconds exceeds the "
            "MaxSessionDuration set for this role."
        )
    return 201, _answer(asked, role, role_arn, chosen, name, seconds, tags)


def _wanted(got: Got) -> dict[str, Any]:
    """The parameters, from query and body. Raises `Refused` where one is missing or of the wrong form."""
    body = got.json()
    if not isinstance(body, dict):
        raise Refused("SerializationException", 400, "The body is not a JSON object.")
    wanted = {**body, **dict(parse_qsl(got.query))}
    for name in ("trustAnchorArn", "profileArn", "roleArn"):
        if not isinstance(wanted.get(name), str) or not wanted[name].startswith("arn:"):
            raise Refused("ValidationException", 400, f"{name} must be an ARN.")
    seconds = wanted.get("durationSeconds")
    if seconds is not None and (type(seconds) is not int or not _SHORTEST <= seconds <= _LONGEST):
        raise Refused("ValidationException", 400, f"durationSeconds must be from {_SHORTEST} to {_LONGEST}.")
    return wanted


def _account(arn: str, default: str) -> str:
    """A certificate belongs to no account: the trust anchor's is asked."""
    named = arn.split(":")[4:5]
    return named[0] if named and re.fullmatch(r"\d{12}", named[0]) else default


def _of(asked: Asked, arn: str, kind: str) -> str:
    """The id in an ARN of this account and region. Raises `Refused` for any other."""
    prefix = own_arn(asked, "rolesanywhere", f"{kind}/")
    if not arn.startswith(prefix):
        raise Refused("ResourceNotFoundException", 404, f"{arn} was not found.")
    return arn.removeprefix(prefix)


def _authorities(asked: Asked, trusted: Entry) -> list[Any]:
    """The trust anchor's certificates: of its bundle, or of moto's private authority."""
    if trusted["source"]["sourceType"] == "CERTIFICATE_BUNDLE":
        return bundle(trusted["source"])
    from cryptography import x509
    from moto.acmpca.models import acmpca_backends

    arn = trusted["source"]["sourceData"]["acmPcaArn"]
    found = acmpca_backends[asked.account][asked.region].certificate_authorities.get(arn)
    if found is None or not found.certificate_bytes:
        raise denied("Untrusted signing certificate")
    return [x509.load_pem_x509_certificate(found.certificate_bytes)]


def _session_name(wanted: Mapping[str, Any], chosen: Entry, signer: Signed) -> str:
    """The name that was asked for, where the profile takes one; else the serial number in hexadecimal."""
    name = wanted.get("roleSessionName")
    if not name:
        return f"{signer.certificate.serial_number:x}"
    if not chosen["acceptRoleSessionName"]:
        raise denied("Not authorized to set roleSessionName.")
    return str(name)


def _role(asked: Asked, arn: str) -> Any:
    """moto's role. Raises `Refused` where there is none."""
    from moto.iam.models import iam_backends

    for role in iam_backends[asked.account][partition(asked.region)[0]].roles.values():
        if role.arn == arn:
            return role
    raise denied(f"Unable to assume role for {arn}")


def _check_trust(
    role: Any, arn: str, trusted: Entry, tags: Mapping[str, str], name: str, asked: Asked
) -> None:
    context = {
        "aws:SourceArn": trusted["trustAnchorArn"],
        "aws:SourceAccount": asked.account,
        "sts:RoleSessionName": name,
        **{f"aws:PrincipalTag/{key}": value for key, value in tags.items()},
        **{f"aws:RequestTag/{key}": value for key, value in tags.items()},
    }
    if tags.get("x509Subject/CN"):
        context["sts:SourceIdentity"] = tags["x509Subject/CN"]
    document = role.assume_role_policy_document
    document = json.loads(document) if isinstance(document, str) else document
    if not trust_policies.allows(document, context):
        raise denied(f"Unable to assume role for {arn}")


def _answer(
    asked: Asked, role: Any, arn: str, chosen: Entry, name: str, seconds: int, tags: Mapping[str, str]
) -> Any:
    from moto.sts.models import sts_backends

    made = sts_backends[asked.account][partition(asked.region)[0]].assume_role(
        region_name=asked.region,
        role_session_name=name,
        role_arn=arn,
        policy=chosen.get("sessionPolicy", ""),
        duration=seconds,
        external_id="",
    )
    subject = uuid.uuid5(uuid.NAMESPACE_X500, json.dumps(dict(tags), sort_keys=True))
    end = made.expiration.replace(tzinfo=datetime.UTC)
    place = f"{partition(asked.region)[0]}:rolesanywhere:{asked.region}:{asked.account}"
    return {
        "credentialSet": [
            {
                "assumedRoleUser": {"arn": made.arn, "assumedRoleId": f"{role.id}:{name}"},
                "credentials": {
                    "accessKeyId": made.access_key_id,
                    "secretAccessKey": made.secret_access_key,
                    "sessionToken": made.session_token,
                    "expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
                },
                # Per cent of what AWS takes for policies and tags, packed in a way of its own: not known.
                "packedPolicySize": 0,
                "roleArn": arn,
                "sourceIdentity": tags.get("x509Subject/CN", ""),
            }
        ],
        "subjectArn": f"arn:{place}:subject/{subject}",
    }


PAGES = (
    Page("rolesanywhere CreateSession", "POST", "/sessions", create_session, signed_for="rolesanywhere"),
)
