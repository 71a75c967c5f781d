"""People of a platform: which groups of the identity provider have which role. Data model only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints, model_validator

from isthmus.contracts.platform.model.emergency_access import BreakGlass
from isthmus.contracts.reference.roles import RoleName
from isthmus.contracts.vocabulary import DnsLabel, Part, Sensitivity
from isthmus.core.errors import FieldError
from isthmus.core.uniqueness import unique

if TYPE_CHECKING:
    pass

GroupName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@:/+=-]*$"), Field(max_length=200)
]
PermissionSet = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+=,.@-]{1,32}$")]
"""As IAM Identity Center takes one; without `_`, at which AWS joins its own ending."""
SamlArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:saml-provider/[A-Za-z0-9._-]{1,128}$")
]


class Members(Part):
    """The groups that have one role."""

    name: DnsLabel
    """By which overrides merge."""
    role: RoleName
    """Role of these groups."""
    groups: list[GroupName] = Field(min_length=1)
    """Groups as the cluster's API server knows them from the sign-on's token: with its `--oidc-groups-prefix`."""
    classes: list[Sensitivity] = []
    """Classes whose namespaces it concerns; absent: all in use. An application team names its own."""
    permission_sets: list[PermissionSet] = []
    """Permission sets of IAM Identity Center whose sessions may take the role in the accounts."""


class People(Part):
    """Roles of people in clusters and accounts."""

    members: list[Members] = Field(min_length=1)
    """Which groups have which role."""
    saml_provider: SamlArn | None = None
    """AWS without Identity Center: the account's SAML provider, whose assertions name the role."""
    break_glass: BreakGlass | None = None
    """Absent: there is none."""

    @model_validator(mode="after")
    def _apart(self) -> People:
        unique(self.members, "name", "members")
        roles: dict[str, set[str]] = {}
        for index, member in enumerate(self.members):
            for number, group in enumerate(member.groups):
                if group.startswith("system:"):
                    # system:authenticated is everybody, system:masters beyond every rule.
                    fix = "Use a group of your identity provider, with the prefix that the API server adds"
                    path = ("members", index, "groups", number)
                    raise FieldError(
                        f"`{group}` is a built-in group of Kubernetes", *path, fix=fix, refused=True
                    )
                roles.setdefault(group, set()).add(member.role)
            if member.role == "application" and not member.classes:
                message = f"member {member.name} is an application team without classes, so it would get access to all"
                raise FieldError(
                    message,
                    "members",
                    index,
                    "classes",
                    fix="Set `classes` to the classes that the team calls",
                )
        for group, names in sorted(roles.items()):
            if "auditor" in names and len(names) > 1:
                raise FieldError(
                    f"group `{group}` is auditor and {', '.join(sorted(names - {'auditor'}))}",
                    "members",
                    fix="Give auditors a group of their own: they may not review their own work",
                    refused=True,
                )
        return self
