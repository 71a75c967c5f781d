"""Data model of sites, pools and links in the requirements."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from isthmus.contracts.hardware.gpus import GPUS
from isthmus.contracts.requirements.workloads import Jurisdiction
from isthmus.contracts.vocabulary import AccountId, DnsLabel, FilePart, KeyArn
from isthmus.core import ip_addresses
from isthmus.core.errors import FieldError, InputError


def _gpu(value: str) -> str:
    if value not in GPUS:
        from isthmus.core.validation_errors import known_names

        raise FieldError(
            f"`{value}` is not a known GPU",
            fix=known_names(value, GPUS),
        )
    return value


def _network(value: str) -> str:
    ip_addresses.site_network(value)
    return value


def _address(value: str) -> str:
    import ipaddress

    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise FieldError(f"`{value}` is not an IP address", fix="Write it like `10.40.0.53`") from None


def _peer(value: str) -> str:
    ip_addresses.public_address(value)
    return value


GpuId = Annotated[str, AfterValidator(_gpu)]
Network = Annotated[str, AfterValidator(_network)]
Address = Annotated[str, AfterValidator(_address)]
Peer = Annotated[str, AfterValidator(_peer)]
Usd = Annotated[float, Field(ge=0)]


class SiteNetwork(FilePart):
    """An on-prem site's networks."""

    cidrs: list[Network] = Field(min_length=1, examples=[["10.40.0.0/16"]])
    """Networks of the site. No other site may use these addresses."""
    vpn_peer_ip: Peer | None = Field(default=None, examples=["198.51.100.10"])
    """Public address of the site's end of the VPN. A link of kind `vpn` needs it."""
    bgp_asn: int | None = Field(default=None, ge=1, le=4294967294, examples=[65010])
    """BGP number of the site's router: a private one (64512 to 65534, RFC 6996) or your own. A link needs it."""
    dns: list[Address] = Field(default=[], examples=[["10.40.0.53"]])
    """Addresses of the site's own DNS resolvers."""


class Pool(FilePart):
    """The GPUs of one kind at a site."""

    gpu: GpuId = Field(examples=["l40s-48gb"])
    """Kind of GPU. `isthmus gpus` lists the known ones."""
    nodes: int = Field(ge=1, examples=[4])
    """Number of nodes with this GPU."""
    gpus_per_node: int = Field(ge=1, le=16, examples=[8])
    """GPUs in each node."""
    failure_domains: int = Field(default=1, ge=1, examples=[2])
    """Parts of the pool that do not fail together, such as rooms or racks with their own power. `survive: domain`
    needs two."""
    interconnect: Literal["nvlink", "pcie"] = "pcie"
    """How the GPUs of a node are connected. For readers only: the planner takes the interconnect from the GPU's
    data sheet."""
    mig: Literal["off", "allowed"] = "off"
    """Whether the planner may cut GPUs into MIG slices. The GPU must support MIG."""
    reserved_gpus: int = Field(default=0, ge=0, examples=[1])
    """GPUs that the platform does not use, for example because another team has them."""
    cpus_per_node: int | None = Field(default=None, ge=1, examples=[128])
    """Hardware threads of a node. Absent: the planner assumes that they suffice."""
    memory_gib_per_node: int | None = Field(default=None, ge=1, examples=[1024])
    """Main memory of a node. Absent: the planner assumes that it suffices."""

    @model_validator(mode="after")
    def _counts(self) -> Pool:
        if self.failure_domains > self.nodes:
            raise FieldError(
                f"{self.failure_domains} failure domains need at least {self.failure_domains} nodes, but the "
                f"pool has {self.nodes}",
                "failure_domains",
                fix=f"Set failure_domains to {self.nodes} or less",
            )
        total = self.nodes * self.gpus_per_node
        if self.reserved_gpus > total:
            raise FieldError(
                f"{self.reserved_gpus} GPUs are reserved, but the pool has {total}",
                "reserved_gpus",
                fix=f"Set reserved_gpus to {total} or less",
            )
        if self.mig == "allowed" and not GPUS[self.gpu].mig_capable:
            raise FieldError(f"`{self.gpu}` does not support MIG", "mig", fix="Set `mig: off`")
        return self


class Maintenance(FilePart):
    """Room for maintenance."""

    spare_nodes_per_pool: int = Field(default=0, ge=0, json_schema_extra={"unit": "nodes"}, examples=[1])
    """Nodes of each pool that may be away for maintenance while the plan still holds."""


class OnPremCost(FilePart):
    """What the site's hardware costs. The plan shows every input."""

    capex_usd_per_node: dict[GpuId, Usd] = Field(default={}, examples=[{"l40s-48gb": 70000}])
    """Price of a node, by GPU. `cost_basis: allocated` needs it for each pool in use."""
    life_years: float = Field(default=4, gt=0, examples=[4])
    """Years over which the price of a node is spread."""
    residual: float = Field(
        default=0, ge=0, lt=1, json_schema_extra={"unit": "share of the price"}, examples=[0.25]
    )
    """What a node is still worth after those years, as a share of its price."""
    power_kw_per_node: dict[GpuId, Annotated[float, Field(ge=0)]] = Field(
        default={}, examples=[{"l40s-48gb": 2.2}]
    )
    """Electrical power of a node under load, by GPU. Each pool in use needs it."""
    pue: float = Field(default=1.3, ge=1, json_schema_extra={"unit": "ratio"}, examples=[1.3])
    """Power usage effectiveness of the data centre: all of its power divided by that of the machines."""
    usd_per_kwh: Usd = Field(default=0, examples=[0.12])
    """Price of electricity."""
    colocation_usd_per_kw_month: Usd = Field(default=0, examples=[180])
    """Rent of space and cooling, by the power of the nodes."""
    support_usd_per_month: Usd = Field(default=0, examples=[1500])
    """Support contracts of the site, however many GPUs are in use."""
    staff_usd_per_month: Usd = Field(default=0, examples=[12000])
    """People who run the site, however many GPUs are in use."""
    source: str | None = Field(default=None, examples=["offer 4711 of the hardware vendor"])
    """Where these figures come from: an offer, a contract, the books."""
    as_of: str | None = Field(default=None, examples=["2026-11-01"])
    """The day of these figures."""


class OnPremSite(FilePart):
    """An on-prem Kubernetes cluster."""

    name: DnsLabel = Field(examples=["fra1"])
    """Name of the site."""
    kind: Literal["on-prem"]
    """`on-prem`: a Kubernetes cluster of your own."""
    jurisdiction: Jurisdiction = Field(examples=["de"])
    """Country of the site, as an ISO code in lower case (`uk` for the United Kingdom)."""
    kube_context: str = Field(min_length=1, examples=["fra1"])
    """Name of the cluster's context in the kubeconfig of whoever runs `isthmus up`."""
    network: SiteNetwork
    """Addresses of the site."""
    pools: list[Pool] = []
    """Its GPUs, one pool for each kind. Absent: no model runs there."""
    maintenance: Maintenance = Maintenance.model_construct()
    """Room for maintenance."""
    cost: OnPremCost | None = None
    """What its hardware costs. Without it the planner cannot use the pools."""

    def networks(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Path and text of each network of the site."""
        return [(("network", "cidrs", index), text) for index, text in enumerate(self.network.cidrs)]

    @model_validator(mode="after")
    def _pools(self) -> OnPremSite:
        from isthmus.core.uniqueness import unique

        unique(
            self.pools,
            *("gpu", "pools"),
            reason="a site has one pool of each GPU",
            fix="Merge the two pools, or correct `gpu` of one",
        )
        spare = self.maintenance.spare_nodes_per_pool
        for pool in self.pools:
            if spare and spare >= pool.nodes:
                raise FieldError(
                    f"{spare} spare nodes would leave no node of the pool of {pool.gpu}, which has {pool.nodes}",
                    *("maintenance", "spare_nodes_per_pool"),
                    fix=f"Set spare_nodes_per_pool to {pool.nodes - 1} or less",
                )
        return self


class Existing(FilePart):
    """What the account already has. Isthmus uses it and does not make its own."""

    vpc: str | None = Field(default=None, examples=["vpc-0a1b2c3d4e5f67890"])
    """Id of the VPC to use."""
    subnets: list[str] = Field(
        default=[], examples=[["subnet-0a1b2c3d4e5f67890", "subnet-0b1c2d3e4f5a67890"]]
    )
    """Ids of private subnets of that VPC, in at least two zones."""
    route_tables: list[str] = Field(default=[], examples=[["rtb-0a1b2c3d4e5f67890"]])
    """Ids of the route tables of those subnets."""
    transit_gateway: str | None = Field(default=None, examples=["tgw-0a1b2c3d4e5f67890"])
    """Id of the transit gateway at which links end."""
    direct_connect_gateway: str | None = Field(
        default=None, examples=["0a1b2c3d-4e5f-6789-abcd-0123456789ab"]
    )
    """Id of the Direct Connect gateway for links of kind `direct-connect`."""
    kms_key: KeyArn | None = Field(
        default=None,
        examples=["arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d-4e5f-6789-abcd-0123456789ab"],
    )
    """ARN of the KMS key that encrypts every record, in place of keys that Isthmus makes."""
    trust_anchor: str | None = Field(
        default=None,
        examples=[
            "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/0a1b2c3d-4e5f-6789-abcd-0123456789ab"
        ],
    )
    """ARN of the IAM Roles Anywhere trust anchor, by which gateways on-prem sign in to AWS."""
    permissions_boundary: str | None = Field(
        default=None, examples=["arn:aws:iam::123456789012:policy/llm-boundary"]
    )
    """ARN of the account's policy that bounds every role that Isthmus makes."""
    trail: bool = False
    """True: the organisation's own CloudTrail trail covers the account."""
    invocation_logging: bool = False
    """True: the organisation has set up Bedrock's log of calls in this region."""
    audit_bucket: str | None = Field(default=None, examples=["llm-audit"])
    """Name of the S3 bucket for audit records."""


class AwsSite(FilePart):
    """An AWS region in one account."""

    name: DnsLabel = Field(examples=["frankfurt"])
    """Name of the site."""
    kind: Literal["aws"]
    """`aws`: one region of one AWS account."""
    jurisdiction: Jurisdiction = Field(examples=["de"])
    """Country of the region, as an ISO code in lower case (`uk` for the United Kingdom)."""
    region: str = Field(examples=["eu-central-1"])
    """AWS region."""
    account_id: AccountId | None = Field(default=None, examples=["123456789012"])
    """The account's 12 digits, in quotes. If stated, Isthmus refuses to build in another account."""
    vpc_cidr: Network | None = Field(default=None, examples=["10.80.0.0/16"])
    """Network of the VPC, which no other site may use. A plan that calls a model in this region needs it."""
    allow: list[Literal["bedrock", "sagemaker", "eks"]] = []
    """AWS services on which models may run here. Absent or empty: none."""
    quotas: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={},
        json_schema_extra={"unit": "as AWS states each quota"},
        examples=[{"Running On-Demand G and VT instances": 192}],
    )
    """Quotas of the account, by their names in AWS Service Quotas. The plan keeps within them; quotas that are absent
    do not limit it."""
    prices: dict[str, Any] = Field(
        default={}, examples=[{"g6e.12xlarge": {"usd_per_hour": 13.1, "as_of": "2026-11-01"}}]
    )
    """Your own prices, which replace list prices: `{MODEL or PROFILE: {input_usd_per_mtok, output_usd_per_mtok,
    cache_read_usd_per_mtok, as_of}}`, or `{INSTANCE or PART: {usd_per_hour, as_of}}` (docs/planning.md)."""
    latency: dict[str, Any] = Field(
        default={},
        examples=[{"amazon.nova-lite-v1:0": {"ttft_p95_ms": 900, "tpot_p95_ms": 20, "as_of": "2026-11-01"}}],
    )
    """Latency of Bedrock's models that you measured from your site: `{MODEL or PROFILE: {ttft_p95_ms, tpot_p95_ms,
    as_of}}`. Without it, goals on Bedrock are unverified."""
    existing: Existing = Existing.model_construct()
    """What the account already has. Absent: Isthmus makes everything."""

    def networks(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Path and text of each network of the site."""
        return [(("vpc_cidr",), self.vpc_cidr)] if self.vpc_cidr else []

    @model_validator(mode="after")
    def _region(self) -> AwsSite:
        from isthmus.contracts.reference import jurisdictions

        try:
            place = jurisdictions.region_jurisdiction(self.region)
        except InputError as error:
            raise FieldError(error.what, "region", fix=error.fix) from None
        if not jurisdictions.is_within(place, self.jurisdiction):
            raise FieldError(
                f"AWS region `{self.region}` is in `{place}`, not in `{self.jurisdiction}`",
                "jurisdiction",
                fix=f"Set `jurisdiction: {place}`",
            )
        return self


Site = Annotated[OnPremSite | AwsSite, Field(discriminator="kind")]


class Link(FilePart):
    """A private link between an on-prem site and an AWS site."""

    from_: DnsLabel = Field(alias="from", examples=["fra1"])
    """Name of the site at one end."""
    to: DnsLabel = Field(examples=["frankfurt"])
    """Name of the site at the other end. One end is on-prem, the other in AWS."""
    kind: Literal["vpn", "direct-connect"]
    """`vpn`: IPsec over the internet. `direct-connect`: a line to AWS."""
    mbps: float = Field(gt=0, examples=[1000])
    """Bandwidth, as contracted or measured with iperf3. The plan's page shows it; the planner does not limit traffic
    by it."""
    rtt_ms: float = Field(gt=0, examples=[6])
    """Round-trip time between the two ends, as `ping` measures it. The plan's page shows it; the planner does not add
    it to latencies, so state `sites[].latency` as measured over the link."""
    usd_per_month: Usd = Field(default=0, examples=[400])
    """Price of the line itself (carrier, your own equipment). The plan adds AWS's hourly prices."""
    usd_per_gb: Usd = Field(default=0, examples=[0.02])
    """Price of the data that crosses the link."""
    source: str | None = Field(default=None, examples=["contract of the carrier"])
    """Where these prices come from."""
    as_of: str | None = Field(default=None, examples=["2026-11-01"])
    """The day of these prices."""
