"""Cases of IAM Roles Anywhere."""

from __future__ import annotations

import functools
from typing import Any

from tests.aws_sandbox.authority import Authority
from tests.aws_sandbox.cases.case import Case, Inputs, changed, found
from tests.aws_sandbox.driver import World, document


@functools.cache
def _pem(name: str) -> str:
    return Authority(name).pem


def _bundle(name: str) -> dict[str, Any]:
    return {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": _pem(name)}}


_PRIVATE = {
    "sourceType": "AWS_ACM_PCA",
    "sourceData": {"acmPcaArn": "arn:aws:acm-pca:eu-central-1:123456789012:certificate-authority/x"},
}
_NOTICE = {"event": "CA_CERTIFICATE_EXPIRY", "enabled": True, "threshold": 90, "channel": "ALL"}
_SOON = {"event": "END_ENTITY_CERTIFICATE_EXPIRY", "enabled": False, "channel": "ALL"}


def _last(world: World, operation: str, member: str, inputs: Inputs) -> str | None:
    """The id of the one with the ARN of `inputs`."""
    arn, id = f"{member}Arn", f"{member}Id"
    listed = getattr(world.boto("rolesanywhere"), operation)()[f"{member}s"]
    return next((entry[id] for entry in listed if entry[arn] == inputs.get("arn")), None)


def _anchor_behind(world: World, inputs: Inputs) -> str:
    id = _last(world, "list_trust_anchors", "trustAnchor", inputs)
    world.boto("rolesanywhere").disable_trust_anchor(trustAnchorId=id)
    return "enabled"


def _profile_behind(world: World, inputs: Inputs) -> str:
    id = _last(world, "list_profiles", "profile", inputs)
    world.boto("rolesanywhere").update_profile(profileId=id, sessionPolicy=document("s3:*"))
    return "sessionPolicy"


CASES: dict[str, Case] = {
    "aws:rolesanywhere/trustAnchor:TrustAnchor": Case(
        make=lambda world: {
            "name": world.name("site"),
            "source": _bundle("Bank root"),
            "enabled": True,
            "notificationSettings": [_SOON, _NOTICE],
            "tags": {"class": "internal"},
        },
        change=lambda world, inputs: {
            **{name: value for name, value in inputs.items() if name != "notificationSettings"},
            "name": world.name("renamed"),
            "source": _PRIVATE,
            "enabled": False,
            "tags": {"kept": "yes"},
        },
        replace=None,
        behind=_anchor_behind,
        left=lambda world, inputs: bool(_last(world, "list_trust_anchors", "trustAnchor", inputs)),
    ),
    "aws:rolesanywhere/profile:Profile": Case(
        make=lambda world: {
            "name": world.name("payments"),
            "roleArns": [world.role_arn()],
            "sessionPolicy": document("bedrock:InvokeModel"),
            "durationSeconds": 3600,
            "enabled": True,
            "managedPolicyArns": [world.policy()],
            "tags": {"class": "internal"},
        },
        change=lambda world, inputs: {
            **{name: value for name, value in inputs.items() if name != "managedPolicyArns"},
            "name": world.name("renamed"),
            "roleArns": [world.role_arn(), *inputs["roleArns"]],
            "sessionPolicy": document("bedrock:Converse"),
            "durationSeconds": 900,
            "enabled": False,
            "acceptRoleSessionName": True,
            "tags": {},
        },
        replace=changed(requireInstanceProperties=True),
        behind=_profile_behind,
        left=lambda world, inputs: bool(found(lambda: _last(world, "list_profiles", "profile", inputs))),
    ),
}
