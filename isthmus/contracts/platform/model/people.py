"""People of a platform: which groups of the identity provider have which role. Data model only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints, model_validator

from isthmus.contracts.platform.model.aws.account import Email
from isthmus.contracts.platform.model.callers import ClientNames
from isthmus.contracts.platform.model.emergency_access import BreakGlass
from isthmus.contracts.platform.model.records import Address
from isthmus.contracts.reference.roles import RoleName
from isthmus.contracts.vocabulary import DnsLabel, KubeName, Part, Sensitivity
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


HttpsUrl = Annotated[
    str, StringConstraints(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$")
]
ClaimName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:/-]{1,100}$")]


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


class Users(Part):
    """The groups whose people may use workloads in their own name."""

    name: DnsLabel
    """By which overrides merge."""
    groups: list[GroupName] = Field(min_length=1)
    """Groups as the sign-on's tokens name them. With Entra ID their object ids, or application roles."""
    workloads: list[DnsLabel] = Field(min_length=1)
    """The workloads that they may use."""


class Owners(Part):
    """The groups whose people own workloads: they see what these have used of their limits."""

    name: DnsLabel
    """By which overrides merge."""
    groups: list[GroupName] = Field(min_length=1)
    """Groups as the sign-on's tokens name them. They are users of the workloads too."""
    workloads: list[DnsLabel] = Field(min_length=1)
    """The workloads that they own."""


class HelpContact(Part):
    """Whom people ask, on their start page."""

    name: DnsLabel
    """By which overrides merge."""
    title: str = Field(min_length=1, max_length=100)
    """As people read it."""
    workloads: list[DnsLabel] = []
    """The workloads that it helps with. Absent: all."""
    mail: Email | None = Field(default=None, examples=["help@bank.example"])
    """Mail address."""
    phone: Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9 ()/-]{1,39}$")] | None = Field(
        default=None, examples=["+49 69 4711"]
    )
    """Phone number."""
    page: HttpsUrl | None = Field(default=None, examples=["https://wiki.bank.example/assistants"])
    """Page with help."""

    @model_validator(mode="after")
    def _reachable(self) -> HelpContact:
        if not (self.mail or self.phone or self.page):
            raise FieldError(f"help {self.name} cannot be reached", fix="Add mail, phone or page")
        return self


class IssuerKeys(Part):
    """Where gateways read the public keys of the sign-on."""

    config_map: KubeName | None = None
    """A ConfigMap with `jwks.json` in the namespace of each class, which the organisation keeps up to date."""
    url: HttpsUrl | None = Field(default=None, examples=["https://sso.bank.example/realms/bank/certs"])
    """Where the issuer publishes them (`jwks_uri`)."""
    address: Address | None = None
    """Where `url` is reached: a network policy cannot hold a name to anything."""
    ca: KubeName | None = None
    """ConfigMap with `ca.crt` in the namespace of each class: who signed the certificate of `url`. Absent: a public
    authority."""

    @model_validator(mode="after")
    def _one_source(self) -> IssuerKeys:
        if (self.config_map is None) == (self.url is None):
            raise FieldError("the keys of the sign-on have one source", fix="Set either config_map or url")
        if (self.url is None) != (self.address is None):
            raise FieldError("url and address of the keys go together", fix="Set both, or neither")
        if self.ca is not None and self.url is None:
            raise FieldError("ca is for url", "ca", fix="Remove ca")
        return self


class SignOn(Part):
    """The organisation's sign-on (OpenID Connect), whose access tokens gateways accept."""

    issuer: HttpsUrl = Field(examples=["https://sso.bank.example/realms/bank"])
    """Claim `iss` of its tokens, exactly."""
    address: Address | None = None
    """IP address at which the issuer is reached. Chats and desks need it: people sign on there."""
    ca: KubeName | None = None
    """ConfigMap with `ca.crt` in the namespaces of chats' and desks' sign-on: who signed the issuer's certificate.
    Absent: a public authority."""
    audience: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")] = "isthmus"
    """Claim `aud` that tokens for the gateways have."""
    clients: list[Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]] = []
    """Applications whose tokens are accepted (claim `azp`, `client_id` or `appid`). Absent: all of the issuer."""
    scope: Annotated[str, StringConstraints(pattern=r"^openid( [!-~]+)*$", max_length=500)] = "openid email"
    """Scopes with which people sign on to chats and desks. With Entra ID: `openid offline_access api://ISTHMUS/.default`."""
    through: ClientNames = []
    """DNS names or SPIFFE ids of the certificates that may present tokens above class public, such as a proxy's."""
    keys: IssuerKeys | None = None
    """Where gateways in clusters, which need it, read its public keys. Those on Fargate have them in a secret
    (`fargate.sign_on_secret`)."""
    groups_claim: ClaimName = "groups"
    """Claim with a person's groups."""
    subject_claim: ClaimName = "sub"
    """Claim that names a person for good: `sub`, or `oid` with Entra ID."""
    name_claim: ClaimName = "email"
    """Claim with the name by which reviewers and erasures know a person."""
    max_lifetime_s: int = Field(default=600, ge=60, le=5400)
    """Longest life of a token that is accepted. Who leaves a group is out after this time."""


class People(Part):
    """Roles of people in clusters and accounts, and the workloads that they use in their own name."""

    members: list[Members] = []
    """Which groups have which role."""
    sign_on: SignOn | None = None
    """The organisation's sign-on for `users` and for the reviewers of desks."""
    users: list[Users] = []
    """Which groups may use which workloads, by the access tokens of `sign_on`."""
    owners: list[Owners] = []
    """Which groups own which workloads."""
    help: list[HelpContact] = []
    """Whom people ask, on the start page of chats."""
    saml_provider: SamlArn | None = None
    """AWS without Identity Center: the account's SAML provider, whose assertions name the role."""
    break_glass: BreakGlass | None = None
    """Absent: there is none."""

    @model_validator(mode="after")
    def _apart(self) -> People:
        if self.users and self.sign_on is None:
            raise FieldError("users need a sign_on", "users", fix="Add `sign_on`, or remove `users`")
        if not self.members and not self.users and self.sign_on is None:
            raise FieldError("people names nobody", fix="Add `members` or `users`, or remove `people`")
        unique(self.users, "name", "users")
        unique(self.owners, "name", "owners")
        unique(self.help, "name", "help")
        self._check_owners()
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

    def _check_owners(self) -> None:
        """An owner's token must be accepted for the workload. Raises FieldError."""
        for index, owners in enumerate(self.owners):
            for workload in owners.workloads:
                users = {
                    group for entry in self.users if workload in entry.workloads for group in entry.groups
                }
                for number, group in enumerate(owners.groups):
                    if group not in users:
                        raise FieldError(
                            f"group `{group}` owns {workload} but may not use it",
                            *("owners", index, "groups", number),
                            fix=f"Add the group to an entry of `users` with the workload {workload}",
                        )
