"""AWS parts of the platform: networks, links, trust, guardrails, trails, budgets. Data model only.

Each part has a `mode`: `manage` makes it, `existing` names one that the organisation has, `off` omits it. The rules
are in `isthmus.contracts.platform.rules.aws`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from isthmus.contracts.vocabulary import Cidr, DnsLabel, KubeName, Mode, Part, Sensitivity

if TYPE_CHECKING:
    pass

RoleArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$")
]
PolicyArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:policy/[A-Za-z0-9+=,.@_/-]+$")
]
"""A policy of an account's own: AWS's managed ones (`iam::aws:`) allow, and bound nothing."""
AnchorArn = Annotated[
    str,
    StringConstraints(
        pattern=r"^arn:aws[a-z-]*:rolesanywhere:[a-z0-9-]+:[0-9]{12}:trust-anchor/[A-Za-z0-9-]+$"
    ),
]
AuthorityArn = Annotated[
    str,
    StringConstraints(
        pattern=r"^arn:aws[a-z-]*:acm-pca:[a-z0-9-]+:[0-9]{12}:certificate-authority/[A-Za-z0-9-]+$"
    ),
]
GuardrailId = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]+|arn:aws[a-z-]*:bedrock:[a-z0-9-]+:[0-9]{12}:guardrail/[a-z0-9]+)$"
    ),
]
Uuid = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
]
Email = Annotated[
    str,
    Field(max_length=254),
    StringConstraints(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+@([A-Za-z0-9-]+\.)+[A-Za-z0-9-]{2,}$"),
]
Zone = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9][a-z]$")]
Usd = Annotated[float, Field(gt=0, le=1e9)]
Days = Annotated[int, Field(ge=1, le=36500)]
"""A hundred years: S3's object lock takes no more."""

TAG_KEYS = {
    "platform": "isthmus-platform",
    "class": "isthmus.dev/class",
    "workload": "isthmus.dev/workload",
    "team": "isthmus.dev/workload",
}
"""The cost-allocation tag that a budget of each scope counts by. A team's counts by the tags of its workloads."""
TEAM_TAG = "isthmus.dev/team"
"""The tag of a team's budget, with the team's name."""
Service = Literal[
    "bedrock-runtime",
    "bedrock",
    "rolesanywhere",
    "sts",
    "kms",
    "logs",
    "ecr.api",
    "ecr.dkr",
    "s3",
    "sagemaker.runtime",
    "ec2",
    "eks",
    "eks-auth",
    "secretsmanager",
    "cloudtrail",
    "monitoring",
    "events",
    "sns",
    "elasticfilesystem",
    "elasticloadbalancing",
    "ecs",
    "sagemaker.api",
    "application-autoscaling",
]
SERVICES: tuple[Service, ...] = get_args(Service)
"""AWS services for which Isthmus makes private endpoints; `s3` gets a gateway endpoint."""
CONTROL_SERVICES = tuple(
    service
    for service in SERVICES
    if service not in ("bedrock-runtime", "rolesanywhere", "eks-auth", "ecr.dkr", "sagemaker.runtime")
)
"""Services that deployers use to make infrastructure. The others carry prompts, answers, images and identities."""


DnsPattern = Annotated[
    str,
    Field(max_length=253),
    StringConstraints(
        pattern=r"^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$"
    ),
]
"""A whole DNS name, or `*.` and a zone of two labels at least. `*` alone, and `*.com`, are none."""
DNS_PATTERN: str = get_args(DnsPattern)[2].pattern


class DnsFirewall(Part):
    """DNS names that a network may resolve; all others are blocked (Route 53 Resolver DNS Firewall).

    Security groups do not filter queries to the VPC's resolver, so data could leave encoded in DNS names.
    """

    mode: Mode | None = None
    """`manage`: a firewall is associated with the VPC. `existing`: the organisation associates its own, for example by
    AWS Firewall Manager. `off`: only where every class of the network is public. Absent: as the network's `mode`."""
    names: list[DnsPattern] = []
    """Further names that are answered, beside those that the platform needs: `host.zone`, or `*.zone` for all below."""
    query_log_days: Days | None = None
    """How long the log of questions is kept; absent: as long as the flow logs."""


class Network(Part):
    """A private network of an AWS site, and the private endpoints in it."""

    name: DnsLabel
    """Name of the network."""
    site: DnsLabel
    """The AWS site that it is for."""
    mode: Mode = "manage"
    """`manage`: Isthmus makes it. `existing`: the organisation has it. `off`: there is none."""
    classes: list[Sensitivity] = Field(min_length=1)
    """Classes whose work it carries; never restricted."""
    cidr: Cidr | None = None
    """`manage`: the VPC's; `existing`: what is let in from within it."""
    zones: list[Zone] = []
    """`manage`: an availability zone for each private subnet, two at least."""
    vpc: Annotated[str, StringConstraints(pattern=r"^vpc-[0-9a-f]+$")] | None = None
    """`existing`: id of the VPC."""
    subnets: list[Annotated[str, StringConstraints(pattern=r"^subnet-[0-9a-f]+$")]] = []
    """`existing`: private subnets, in two zones at least."""
    route_tables: list[Annotated[str, StringConstraints(pattern=r"^rtb-[0-9a-f]+$")]] = []
    """`existing`: route tables of those subnets, for the S3 endpoint and the routes to the sites."""
    internet: bool = False
    """An internet gateway; only where every class of the network is public."""
    services: list[Service] = []
    """Private endpoints to make; each admits named principals to named resources."""
    private_dns: bool = True
    """Whether the services' public names lead to the endpoints; one of a VPC's endpoints of a service may."""
    flow_log_days: Days = 365
    """How long flow logs are kept (as CloudWatch Logs knows it: the next longer period)."""
    dns_firewall: DnsFirewall = DnsFirewall()
    """Which names may be asked for in it."""
    deployers: list[RoleArn] = []
    """Roles by which `isthmus up` runs on a machine in this network. Endpoints of services by which infrastructure is
    made admit them; none that carries prompts does."""

    @property
    def dns_mode(self) -> Mode:
        """Mode of its DNS firewall."""
        return self.dns_firewall.mode or self.mode


class Link(Part):
    """The private link between an on-prem site and an AWS site, on a transit gateway."""

    name: DnsLabel
    """Name of the link."""
    from_: DnsLabel = Field(alias="from")
    """The on-prem site."""
    to: DnsLabel
    """The AWS site."""
    kind: Literal["vpn", "direct-connect"]
    """`vpn`: IPsec over the internet. `direct-connect`: a line to AWS."""
    mode: Mode = "manage"
    """`manage`: Isthmus makes it. `existing`: the organisation has it. `off`: there is none."""
    classes: list[Sensitivity] = Field(min_length=1)
    """Classes whose traffic may cross; never restricted."""
    sources: list[Cidr] = []
    """Networks of the on-prem site that may cross; absent: all of the site's."""
    peer_ip: str | None = None
    """`vpn`: the public address of the site's end."""
    site_asn: int | None = Field(default=None, ge=1, le=4294967294)
    """BGP number of the site's end."""
    amazon_asn: int = Field(default=64512, ge=1, le=4294967294)
    """BGP number of AWS's end, which differs from `site_asn`."""
    transit_gateway: Annotated[str, StringConstraints(pattern=r"^tgw-[0-9a-f]+$")] | None = None
    """One that exists; absent, one is made."""
    direct_connect_gateway: Uuid | None = None
    """`direct-connect`: one that exists; absent, one is made."""
    connection: Annotated[str, StringConstraints(pattern=r"^dxcon-[0-9a-z]+$")] | None = None
    """`direct-connect`: the ordered connection on which a transit interface is made."""
    vlan: int | None = Field(default=None, ge=1, le=4094)
    """`direct-connect`: VLAN of the transit interface on the connection."""
    resolvers: Mode = "manage"
    """Inbound and outbound DNS resolvers: the site asks AWS for AWS's zones, AWS the site for the site's."""
    zones: list[
        Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$")]
    ] = []
    """DNS zones of the site that the network may ask the site's resolvers for."""


class TrustIssuer(Part):
    """The cert-manager issuer that signs the certificates by which translators prove who they are."""

    name: KubeName
    """Name of the issuer."""
    kind: Literal["Issuer", "ClusterIssuer"] = "ClusterIssuer"
    """`Issuer` of a namespace, or `ClusterIssuer` of the whole cluster."""


class Trust(Part):
    """The certificate authority that AWS trusts for identities (IAM Roles Anywhere)."""

    name: DnsLabel
    """Name of the trust."""
    site: DnsLabel
    """The AWS site that it is for."""
    mode: Mode = "manage"
    """`manage`: Isthmus makes it. `existing`: the organisation has it. `off`: there is none."""
    ca_certificates: str | None = None
    """`manage`: the authority's certificates as PEM; never a public web authority's."""
    acm_pca: AuthorityArn | None = None
    """`manage`: in place of it, a private authority of ACM."""
    trust_anchor: AnchorArn | None = None
    """`existing`."""
    issuer: TrustIssuer | None = None
    """Signs translators' certificates; absent, each identity names its Secret."""
    certificate_hours: int = Field(default=24, ge=1, le=24 * 90)
    """How long a translator's certificate holds; it is rotated when a third is left."""
    session_seconds: int = Field(default=3600, ge=900, le=43200)
    """How long the credentials of a session hold."""


class Pii(Part):
    """The action of a guardrail for one kind of personal data, in prompts and answers."""

    name: str
    """As Bedrock names it, e.g. `EMAIL`, `CREDIT_DEBIT_CARD_NUMBER`."""
    action: Literal["block", "anonymize"] = "anonymize"
    """`block` the text, or replace what was found by its kind (`anonymize`)."""


LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]


class Guardrail(Part):
    """A Bedrock guardrail. It adds to the network boundary and never replaces it."""

    name: DnsLabel
    """Name of the guardrail."""
    site: DnsLabel
    """The AWS site that it is for."""
    class_: Sensitivity = Field(alias="class")
    """Class whose calls must name it."""
    mode: Mode = "manage"
    """`manage`: Isthmus makes it. `existing`: the organisation has it. `off`: there is none."""
    guardrail_id: GuardrailId | None = None
    """`existing`."""
    version: str | None = None
    """`existing`: a numbered version, never `DRAFT`."""
    earlier_versions: list[Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,7}$")]] = []
    """Versions that calls may name besides, while pods that know a new one replace those that do not."""
    pii: list[Pii] = []
    """Kinds of personal data and secrets that it looks for."""
    attack_strength: Literal["low", "medium", "high"] = "high"
    """Filter on prompts that attack the model's instructions."""
    content_strength: Literal["none", "low", "medium", "high"] = "medium"
    """Filters on hate, insults, sexual content, violence and misconduct."""
    grounding: float | None = Field(
        examples=[0.75], default=None, ge=0, le=0.99, json_schema_extra={"unit": "score from 0 to 1"}
    )
    """Least score of grounding and relevance; absent: not asked for (it needs a source in the request)."""
    blocked_message: str = Field(default="This request was blocked by policy.", min_length=1, max_length=500)
    """What a caller gets in place of a blocked prompt or answer."""
    languages: list[LanguageCode] = []
    """Languages of prompts and answers; absent: those of the screening of the gateways that use it, else English."""
    tier: Literal["classic", "standard"] | None = None
    """`classic` filters English, French and Spanish, in the guardrail's own region. `standard` filters most languages,
    in any region of its geography. Absent: by the languages."""
    unfiltered_languages: list[LanguageCode] = []
    """With `tier: classic`: languages that somebody has decided to leave unfiltered."""


class InvocationLogging(Part):
    """Bedrock's log of invocations. An account and region has one, so the strictest class decides its settings."""

    name: DnsLabel
    """Name of the log."""
    site: DnsLabel
    """The AWS site that it is for."""
    mode: Mode = "manage"
    """`manage`: Isthmus makes it. `existing`: the organisation has it. `off`: there is none."""
    text: bool = False
    """Prompts and answers too; only where every class at the site may keep content."""
    retention_days: Days
    """How long the log is kept."""


class Trail(Part):
    """A CloudTrail trail of all regions, stored write-once in the site's audit store."""

    name: DnsLabel
    """Name of the trail."""
    site: DnsLabel
    """The AWS site that it is for."""
    mode: Mode = "manage"
    """`manage`: Isthmus makes it. `existing`: the organisation has it. `off`: there is none."""
    organization: bool = False
    """A trail of the whole organisation; the site's account must be its management account or delegate."""
    retention_days: Days
    """Of the searchable copy in CloudWatch Logs."""


class Budget(Part):
    """A monthly budget for resources with a tag, with alerts and an action when it is used up."""

    name: DnsLabel
    """Name of the budget."""
    site: DnsLabel
    """The AWS site in whose account it is."""
    scope: Literal["platform", "class", "workload"]
    """What it counts: the whole platform, one class of data, or one workload."""
    of: str
    """The platform's, class's or workload's name."""
    monthly_usd: Usd
    """The most that may be spent a month."""
    alert_pct: list[Annotated[int, Field(ge=1, le=1000)]] = [80, 100]
    """Alerts of actual spend; one of forecast spend at 100 % comes with them."""
    action: Literal["none", "deny"] = "none"
    """`deny`: at 100 % no identity of that class at the site may call a model until someone lifts it."""


MonitorArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws[a-z-]*:ce::[0-9]{12}:anomalymonitor/[a-f0-9-]+$")
]


class Anomalies(Part):
    """AWS Cost Anomaly Detection."""

    mode: Mode = "manage"
    """`manage`: a monitor of the platform's tag is made, which AWS allows in an organisation's management account and
    in an account of no organisation. `existing`: the account has a monitor; alerts are added where `monitor` names it.
    Blueprints say `off`: in a member account a monitor of a tag is refused (AWS Cost Management user guide, "Getting
    started with AWS Cost Anomaly Detection", read 2026-11)."""
    monitor: MonitorArn | None = None
    """`existing`: the account's monitor, whose findings are told. Member accounts may have one of all services."""
    site: DnsLabel | None = None
    """The AWS site in whose account it is; absent: the first."""
    threshold_usd: float = Field(default=100, ge=0.01, le=1e9)
    """Least unusual spend about which an alert is sent."""


class Contacts(Part):
    """Email addresses for notifications. Use addresses of groups, not of persons."""

    security: list[Email] = []
    """The trail was changed, an alarm went off."""
    cost: list[Email] = []
    """A budget is near its end, spend is unusual."""
    operations: list[Email] = []
    """A model or a gateway in AWS fails (alarms of CloudWatch). Absent: there are no such alarms."""


class Provisioned(Part):
    """Provisioned throughput of a Bedrock model."""

    name: DnsLabel
    """Name of the provisioned throughput."""
    endpoint: DnsLabel
    """The endpoint on Bedrock that it serves."""
    model_units: int = Field(ge=1)
    """Number of model units to buy."""
    commitment: Literal["none", "one-month", "six-months"] = "none"
    """Term of the contract. `none`: no term."""
