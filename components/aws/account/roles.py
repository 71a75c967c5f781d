"""IAM roles of people in an account, which sessions of the organisation's sign-on may assume."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.names import aws_name, partition
from components.aws.common.role_policy import role_policy
from components.aws.identity.boundary import boundary_arn
from components.base.argument_checks import check_choice
from isthmus.contracts.reference import roles
from isthmus.core.errors import InputError


class SignedOn(TypedDict):
    """The sessions that may assume one role."""

    role: str
    """platform, model-owner, reviewer or auditor. An application team has no role in AWS."""
    permission_sets: list[str]
    """Permission sets of IAM Identity Center whose sessions may assume it."""


class RecordsAtSite(TypedDict):
    """The account's records, for auditors."""

    log_group: NotRequired[pulumi.Input[str]]
    """ARN pattern of the log group with the trail's searchable copy."""
    bucket: NotRequired[pulumi.Input[str]]
    """ARN of the audit store."""
    key: NotRequired[pulumi.Input[str]]
    """ARN of the store's key."""


class AwsRolesArgs(TypedDict):
    """The roles of people in an account."""

    region: str
    """AWS region of the site."""
    account: pulumi.Input[str]
    """The account's id."""
    members: list[SignedOn]
    """The members of each role."""
    saml_provider: NotRequired[str]
    """ARN of the account's SAML provider, if there is no Identity Center."""
    records: RecordsAtSite
    """The records that auditors may read."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of the permissions boundary of every role. Absent: one is created for each role."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class AwsRoles(pulumi.ComponentResource):
    """A role of the account for each role of `isthmus.contracts.reference.roles` with members."""

    arns: pulumi.Output[dict[str, str]]
    """ARN by role. A permission set must be allowed to assume it, or a SAML assertion must name it."""

    def __init__(self, name: str, args: AwsRolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:AwsRoles", name, dict(args), opts)
        arns: dict[str, Any] = {}
        role_names = tuple(roles.ACCOUNT)
        for index, member in enumerate(args["members"]):
            check_choice(member["role"], role_names, f"{name}.members.{index}.role")
        for role in role_names:
            sets = sorted(
                {
                    permission_set
                    for member in args["members"]
                    if member["role"] == role
                    for permission_set in member["permission_sets"]
                }
            )
            has_members = any(member["role"] == role for member in args["members"])
            if sets or (has_members and args.get("saml_provider")):
                arns[role] = self._role(f"{name}-{role}", role, sets, args)
        self.arns = pulumi.Output.from_input(arns)
        self.register_outputs({"arns": self.arns})

    def _role(
        self, name: str, role: roles.RoleName, sets: list[str], args: AwsRolesArgs
    ) -> pulumi.Output[str]:
        from pulumi_aws.iam import Role

        child, tags = pulumi.ResourceOptions(parent=self), args.get("tags", {})
        records, aws_partition = args["records"], partition(args["region"])
        suffix = "amazonaws.com.cn" if aws_partition == "aws-cn" else "amazonaws.com"
        statements = roles.iam_statements(
            role,
            roles.Records(
                **{key: _empty_to_none(records.get(key)) for key in ("log_group", "bucket", "key")},
                via=f"s3.{args['region']}.{suffix}",
            ),
        )
        iam_role = Role(
            f"{name}-role",
            name=aws_name(name, 64),
            description=f"Isthmus {role}: {roles.DESCRIPTIONS[role]}"[:1000],
            assume_role_policy=pulumi.Output.json_dumps(
                trust_policy(aws_partition, args["account"], sets, args.get("saml_provider"), name)
            ),
            # AWS allows no longer duration for a session that was assumed from another one.
            max_session_duration=3600,
            permissions_boundary=boundary_arn(
                name, args.get("permissions_boundary"), statements, child, tags=tags
            ),
            tags=tags,
            opts=child,
        )
        role_policy(f"{name}-policy", iam_role, statements, child)
        return iam_role.arn


def trust_policy(
    aws_partition: str, account: pulumi.Input[str], sets: list[str], saml: str | None, where: str
) -> dict[str, Any]:
    """The trust policy: sessions of these permission sets in this account, or assertions of the account's SAML
    provider.

    Identity Center appends an unknown suffix to the name of a permission set's role. So the account is the
    principal, and a condition matches the session's role, as in the IAM Identity Center user guide ("Referencing
    permission sets in resource policies"), in the default region and others.
    """
    statements: list[dict[str, Any]] = []
    if sets:
        reserved = "arn:{}:iam::{}:role/aws-reserved/sso.amazonaws.com/{}AWSReservedSSO_{}_*"
        patterns = [
            pulumi.Output.format(reserved, aws_partition, account, region, permission_set)
            for permission_set in sets
            for region in ("", "*/")
        ]
        statements.append(
            {
                "Sid": "IdentityCenter",
                "Effect": "Allow",
                "Principal": {"AWS": pulumi.Output.format("arn:{}:iam::{}:root", aws_partition, account)},
                "Action": "sts:AssumeRole",
                "Condition": {"ArnLike": {"aws:PrincipalArn": patterns}},
            }
        )
    if saml:
        statements.append(
            {
                "Sid": "Saml",
                "Effect": "Allow",
                "Principal": {"Federated": saml},
                "Action": "sts:AssumeRoleWithSAML",
                "Condition": {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}},
            }
        )
    if not statements:
        raise InputError(
            "nobody could assume the role", where=where, fix="Add permission sets or a SAML provider"
        )
    return {"Version": "2012-10-17", "Statement": statements}


def _empty_to_none(value: Any) -> Any:
    """The value, or None for an empty text."""
    return value if value is None or isinstance(value, pulumi.Output) else (value or None)
