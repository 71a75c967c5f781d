"""The component WorkloadIdentity: a role for one certificate or ServiceAccount, and its limits."""

import re
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.actions import open_guardrail
from components.aws.common.names import aws_name
from components.aws.identity.boundary import boundary_arn, boundary_policy, compact_policy
from components.aws.identity.pod_identity import PodIdentity, create_association, pod_trust
from components.base.argument_checks import check_sensitivity, may_use_aws
from isthmus.contracts.vocabulary import Target
from isthmus.core.errors import InputError, Refused

SESSION_POLICY_CHARACTERS = 2048
"""Maximum length of a session policy (STS AssumeRole `Policy`, as of knowledge, not checked)."""
MIN_SESSION_S, MAX_SESSION_S = 900, 43200
"""Limits of a session's duration in seconds (`CreateProfile`, API model of botocore)."""
MAX_NAME = 64
"""Maximum length of a certificate's common name (RFC 5280, ub-common-name)."""
_TARGETS: tuple[tuple[Target, str], ...] = (("bedrock", "bedrock:"), ("sagemaker", "sagemaker:"))
"""Services that an identity calls, by prefix of its actions. A class may be allowed on one and not on another."""
_SUBJECT = re.compile(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$")


class WorkloadIdentityArgs(TypedDict):
    """An AWS identity for pods, outside AWS or in an EKS cluster."""

    name: str
    """Name of the identity."""
    sensitivity: str
    """The class whose pods have it."""
    trust_anchor: NotRequired[pulumi.Input[str]]
    """ARN of the trust anchor of the certificate's CA."""
    subject: str
    """DNS name in the certificate: its common name and its first subject alternative name."""
    pod: NotRequired[PodIdentity]
    """Instead of a certificate: the pods of an EKS cluster that have it."""
    actions: list[str]
    """The only actions that a session may have, each with its full name."""
    resources: list[pulumi.Input[str]]
    """ARNs of the only resources that a session may access. Patterns for resources that are created later."""
    session_seconds: int
    """Duration of a session in seconds, 900 to 43200."""
    bedrock_regions: NotRequired[list[str]]
    """Every region in which a call may be served. If set, the boundary denies all others."""
    source_vpc: NotRequired[pulumi.Input[str]]
    """Id of the VPC from whose endpoints calls must come. Absent: from anywhere."""
    routed_resources: NotRequired[list[pulumi.Input[str]]]
    """ARNs that Bedrock accesses in other regions to serve a call. No VPC is required there."""
    routed_regions: NotRequired[list[str]]
    """The other regions in which Bedrock may do so."""
    guardrail_key: NotRequired[pulumi.Input[str]]
    """ARN of the key that encrypts the guardrail's settings. Its users need permission to decrypt with it."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of the role's permissions boundary. Absent: one is created."""
    exception: NotRequired[str]
    """Reference of the recorded exception that allows a confidential class to use AWS."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class WorkloadIdentity(pulumi.ComponentResource):
    """A role for one certificate of one CA or for one ServiceAccount, its boundary, and the limits of its sessions.

    A session's permissions are those that the role's own policy, the boundary and the session policy all allow. The
    role has no policy yet: BedrockAccess adds one. No access key is created. Pods of an EKS cluster have no session
    policy, because the boundary has the same statements.
    """

    role_arn: pulumi.Output[str]
    """ARN of the role."""
    role_name: pulumi.Output[str]
    """Name of the role, to attach policies to."""
    profile_arn: pulumi.Output[str]
    """ARN of the Roles Anywhere profile for new sessions. Empty for pods of an EKS cluster."""
    boundary_arn: pulumi.Output[str]
    """ARN of the role's permissions boundary."""

    def __init__(
        self, name: str, args: WorkloadIdentityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:WorkloadIdentity", name, dict(args), opts)
        where = f"identities.{args['name']}"
        sensitivity = _check_class(args, where)
        _check(args, where)
        statements = session_statements(
            args["actions"],
            args["resources"],
            args.get("source_vpc"),
            args.get("guardrail_key"),
            args.get("routed_resources", []),
            args.get("routed_regions", []),
        )
        boundary_policy(statements)  # refused before anything is created, even if the boundary is given
        tags = {
            **args.get("tags", {}),
            "isthmus.dev/class": sensitivity,
            "isthmus.dev/identity": args["name"],
        }
        self.boundary_arn = boundary_arn(
            name,
            args.get("permissions_boundary"),
            statements,
            pulumi.ResourceOptions(parent=self),
            tags=tags,
            bedrock_regions=args.get("bedrock_regions", []),
        )
        role = self._create_role(name, args, tags)
        self.role_name, self.role_arn = role.name, role.arn
        self.profile_arn = pulumi.Output.from_input("")
        pod = args.get("pod")
        if pod:
            self.role_arn = self._associate(name, pod, role, tags)
        else:
            self.profile_arn = self._profile(name, args, role, statements, tags)
        self.register_outputs(
            {
                "role_arn": self.role_arn,
                "role_name": self.role_name,
                "profile_arn": self.profile_arn,
                "boundary_arn": self.boundary_arn,
            }
        )

    def _create_role(self, name: str, args: WorkloadIdentityArgs, tags: dict[str, str]) -> Any:
        """Create the role, which the pods or the holder of the certificate may assume."""
        from pulumi_aws.iam import Role

        pod = args.get("pod")
        trust = pod_trust(pod, _account(self)) if pod else trust_policy(args["trust_anchor"], args["subject"])  # type: ignore[typeddict-item]
        return Role(
            f"{name}-role",
            name=aws_name(f"{name}-role", 64),
            description=f"{args['subject']}, by {'pod identity' if pod else 'certificate'}",
            assume_role_policy=pulumi.Output.json_dumps(trust),
            # AWS's minimum is an hour. The profile decides the duration of a session.
            max_session_duration=max(3600, args["session_seconds"]),
            permissions_boundary=self.boundary_arn,
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _associate(self, name: str, pod: PodIdentity, role: Any, tags: dict[str, str]) -> pulumi.Output[str]:
        """Associate the role with the pods. Returns its ARN, which is known after that, so that no translator
        starts without its identity.
        """
        association = create_association(name, pod, role.arn, tags, pulumi.ResourceOptions(parent=self))
        return pulumi.Output.all(role.arn, association).apply(lambda values: str(values[0]))

    def _profile(
        self,
        name: str,
        args: WorkloadIdentityArgs,
        role: Any,
        statements: list[dict[str, Any]],
        tags: dict[str, str],
    ) -> pulumi.Output[str]:
        """ARN of the profile that limits sessions with a certificate."""
        from pulumi_aws.rolesanywhere import Profile

        where = f"identities.{args['name']}"
        session = pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements})
        return Profile(
            f"{name}-profile",
            enabled=True,
            role_arns=[role.arn],
            duration_seconds=args["session_seconds"],
            session_policy=session.apply(
                lambda text: compact_policy(text, f"{where} (session policy)", SESSION_POLICY_CHARACTERS)
            ),
            # The caller sets instance properties, so they prove nothing.
            require_instance_properties=False,
            # A session has its certificate's serial number, by which the trail can be searched.
            accept_role_session_name=False,
            tags=tags,
            opts=pulumi.ResourceOptions(parent=self),
        ).arn


def trust_policy(trust_anchor: pulumi.Input[str], subject: str) -> dict[str, Any]:
    """The trust policy: only the holder of a certificate of this CA with this name, checked in two fields.

    A common name alone proves nothing: another trust anchor of the account may sign the same name, so the anchor is
    required (IAM Roles Anywhere user guide, trust model and attribute mapping, read 2026-11). `x509SAN/DNS` is the
    *first* DNS name. Several values of a field are joined by `/` and match nothing here.
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OneCertificate",
                "Effect": "Allow",
                "Principal": {"Service": "rolesanywhere.amazonaws.com"},
                # For the trail, the certificate's fields become session tags, and its name the source identity.
                "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
                "Condition": {
                    "ArnEquals": {"aws:SourceArn": [trust_anchor]},
                    "StringEquals": {
                        "aws:PrincipalTag/x509Subject/CN": subject,
                        "aws:PrincipalTag/x509SAN/DNS": subject,
                    },
                },
            }
        ],
    }


def _account(parent: pulumi.Resource) -> pulumi.Output[str]:
    from pulumi_aws import get_caller_identity_output

    return get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=parent)).account_id


def session_statements(
    actions: list[str],
    resources: list[pulumi.Input[str]],
    vpc: Any = None,
    key: Any = None,
    routed: Sequence[pulumi.Input[str]] = (),
    routed_regions: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The maximum permissions of sessions, for the boundary and the session policy.

    `vpc`: VPC from whose endpoints calls must come. `key`: key that encrypts the guardrail's settings. `routed`:
    resources that Bedrock accesses in `routed_regions` to serve a call, perhaps without the VPC in the request
    (`bedrock.call_policy`).
    """
    statement: dict[str, Any] = {
        "Sid": "AtMost",
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }
    if vpc is not None:
        statement["Condition"] = {"StringEquals": {"aws:SourceVpc": vpc}}
    statements = [statement]
    if vpc is not None and routed and routed_regions:
        statements.append(
            {
                "Sid": "Routed",
                "Effect": "Allow",
                "Action": [action for action in actions if action.startswith("bedrock:")],
                "Resource": list(routed),
                "Condition": {"StringEquals": {"aws:RequestedRegion": sorted(routed_regions)}},
            }
        )
    # Bedrock decrypts for the caller from its own network, so no VPC is required.
    return [*statements, *([open_guardrail(key)] if key is not None else [])]


def _check_class(args: WorkloadIdentityArgs, where: str) -> str:
    """The class, which must be allowed on each AWS service that the identity calls."""
    sensitivity = check_sensitivity(args["sensitivity"], where)
    for target, prefix in _TARGETS:
        if any(action.startswith(prefix) for action in args["actions"]):
            may_use_aws(sensitivity, where, args.get("exception", ""), target)
    return sensitivity


def _check(args: WorkloadIdentityArgs, where: str) -> None:
    if ("pod" in args) == ("trust_anchor" in args):
        problem = (
            "trust_anchor and pod are both set" if "pod" in args else "neither trust_anchor nor pod is set"
        )
        fix = "Set the trust anchor of a certificate, or the pods that have the identity"
        raise InputError(problem, where=f"{where}.trust_anchor", fix=fix)
    subject = args["subject"]
    if not _SUBJECT.match(subject) or len(subject) > MAX_NAME:
        raise InputError(
            f"'{subject}' is not a DNS name of at most {MAX_NAME} characters",
            where=f"{where}.subject",
            fix="Set the name that the certificate has as its common name and first alternative name",
        )
    if not MIN_SESSION_S <= args["session_seconds"] <= MAX_SESSION_S:
        raise InputError(
            f"session_seconds is {args['session_seconds']}",
            where=f"{where}.session_seconds",
            fix=f"Set it to {MIN_SESSION_S} to {MAX_SESSION_S}",
        )
    if "*" in [resource for resource in args["resources"] if isinstance(resource, str)]:
        raise Refused(
            "a session could access every resource",
            where=f"{where}.resources",
            fix="Replace `*` by patterns of ARNs",
        )
