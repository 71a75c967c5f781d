"""IAM Roles Anywhere's `CreateSession`: temporary credentials for a certificate (`POST /sessions`).

As in AWS, these are verified: the request's signature, the certificate's chain to the trust anchor and its dates, that
anchor and profile are enabled, that the profile lists the role, and the role's trust policy. The credentials come from
moto's STS, so `GetCallerIdentity` knows the role. Revocation lists are not supported.

Requests have the form of the user guide ("CreateSession API", read 2026-11-25) and of the credential helper, which
sends the ARNs in the query and the duration in the body.
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
from sandbox.aws.beside.certificates import Signer, denied
from sandbox.aws.beside.naming import arn as own_arn
from sandbox.aws.beside.naming import now
from sandbox.aws.beside.rolesanywhere import Entry, find_anchor, find_profile
from sandbox.aws.beside.rolesanywhere import certificates as bundle
from sandbox.aws.pages import Page, PageRequest
from sandbox.aws.resources import partition
from sandbox.aws.service_frame import Refused, ServiceRequest

_MIN_SECONDS, _MAX_SECONDS = 900, 43200


def create_session(page_request: PageRequest) -> tuple[int, Any]:
    """Return 201 and the credentials. Raises `Refused` if a check fails."""
    params = _read_params(page_request)
    moment = now()
    signer = certificates.verify_signature(page_request, moment)
    request = ServiceRequest({}, signer.region, _account(params["trustAnchorArn"], page_request.account))
    trust_anchor = find_anchor(request, _id_in_arn(request, params["trustAnchorArn"], "trust-anchor"))
    session_profile = find_profile(request, _id_in_arn(request, params["profileArn"], "profile"))
    if not trust_anchor["enabled"]:
        raise denied("Trust anchor is disabled")
    certificates.check_trusted(signer, _authorities(request, trust_anchor), moment)
    if not session_profile["enabled"]:
        raise denied("Profile is disabled")
    role_arn = params["roleArn"]
    if role_arn not in session_profile["roleArns"]:
        raise denied(f"The role {role_arn} is not in the profile")
    name = _session_name(params, session_profile, signer)
    role = _find_role(request, role_arn)
    tags = certificates.session_tags_of(signer.certificate)
    _check_trust(role, role_arn, trust_anchor, tags, name, request)
    seconds = min(
        params.get("durationSeconds") or session_profile["durationSeconds"],
        session_profile["durationSeconds"],
    )
    if seconds > role.max_session_duration:
        raise denied(
            f"Unable to assume role for {role_arn}\nThe requested DurationSeconds exceeds the "
            "MaxSessionDuration set for this role."
        )
    return 201, _credential_response(request, role, role_arn, session_profile, name, seconds, tags)


def _read_params(page_request: PageRequest) -> dict[str, Any]:
    """Return the parameters from query and body. Raises `Refused` if one is missing or invalid."""
    body = page_request.json()
    if not isinstance(body, dict):
        raise Refused("SerializationException", 400, "The body is not a JSON object.")
    params = {**body, **dict(parse_qsl(page_request.query))}
    for name in ("trustAnchorArn", "profileArn", "roleArn"):
        if not isinstance(params.get(name), str) or not params[name].startswith("arn:"):
            raise Refused("ValidationException", 400, f"{name} must be an ARN.")
    seconds = params.get("durationSeconds")
    if seconds is not None and (type(seconds) is not int or not _MIN_SECONDS <= seconds <= _MAX_SECONDS):
        raise Refused(
            "ValidationException", 400, f"durationSeconds must be from {_MIN_SECONDS} to {_MAX_SECONDS}."
        )
    return params


def _account(arn: str, default: str) -> str:
    """Return the account of the trust anchor: the certificate itself has none."""
    account_part = arn.split(":")[4:5]
    return account_part[0] if account_part and re.fullmatch(r"\d{12}", account_part[0]) else default


def _id_in_arn(request: ServiceRequest, arn: str, kind: str) -> str:
    """Return the id in an ARN of this account and region. Raises `Refused` for others."""
    prefix = own_arn(request, "rolesanywhere", f"{kind}/")
    if not arn.startswith(prefix):
        raise Refused("ResourceNotFoundException", 404, f"{arn} was not found.")
    return arn.removeprefix(prefix)


def _authorities(request: ServiceRequest, trust_anchor: Entry) -> list[Any]:
    """Return the trust anchor's certificates, from its bundle or from moto's private CA."""
    if trust_anchor["source"]["sourceType"] == "CERTIFICATE_BUNDLE":
        return bundle(trust_anchor["source"])
    from cryptography import x509
    from moto.acmpca.models import acmpca_backends

    arn = trust_anchor["source"]["sourceData"]["acmPcaArn"]
    authority = acmpca_backends[request.account][request.region].certificate_authorities.get(arn)
    if authority is None or not authority.certificate_bytes:
        raise denied("Untrusted signing certificate")
    return [x509.load_pem_x509_certificate(authority.certificate_bytes)]


def _session_name(params: Mapping[str, Any], session_profile: Entry, signer: Signer) -> str:
    """Return the requested name if the profile allows it. Default: the certificate's serial number in hexadecimal."""
    name = params.get("roleSessionName")
    if not name:
        return f"{signer.certificate.serial_number:x}"
    if not session_profile["acceptRoleSessionName"]:
        raise denied("Not authorized to set roleSessionName.")
    return str(name)


def _find_role(request: ServiceRequest, arn: str) -> Any:
    """Return moto's role. Raises `Refused` if it does not exist."""
    from moto.iam.models import iam_backends

    for role in iam_backends[request.account][partition(request.region)[0]].roles.values():
        if role.arn == arn:
            return role
    raise denied(f"Unable to assume role for {arn}")


def _check_trust(
    role: Any, arn: str, trust_anchor: Entry, tags: Mapping[str, str], name: str, request: ServiceRequest
) -> None:
    context = {
        "aws:SourceArn": trust_anchor["trustAnchorArn"],
        "aws:SourceAccount": request.account,
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


def _credential_response(
    request: ServiceRequest,
    role: Any,
    arn: str,
    session_profile: Entry,
    name: str,
    seconds: int,
    tags: Mapping[str, str],
) -> Any:
    from moto.sts.models import sts_backends

    session = sts_backends[request.account][partition(request.region)[0]].assume_role(
        region_name=request.region,
        role_session_name=name,
        role_arn=arn,
        policy=session_profile.get("sessionPolicy", ""),
        duration=seconds,
        external_id="",
    )
    subject = uuid.uuid5(uuid.NAMESPACE_X500, json.dumps(dict(tags), sort_keys=True))
    end = session.expiration.replace(tzinfo=datetime.UTC)
    place = f"{partition(request.region)[0]}:rolesanywhere:{request.region}:{request.account}"
    return {
        "credentialSet": [
            {
                "assumedRoleUser": {"arn": session.arn, "assumedRoleId": f"{role.id}:{name}"},
                "credentials": {
                    "accessKeyId": session.access_key_id,
                    "secretAccessKey": session.secret_access_key,
                    "sessionToken": session.session_token,
                    "expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
                },
                # Per cent of AWS's limit for packed policies and tags. AWS's packing is not public.
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
