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

    cidrs: list[Network] = Field(min_length=1)
    vpn_peer_ip: Peer | None = None
    """Public address of the site's end of the VPN."""
    bgp_asn: int | None = Field(default=None, ge=1, le=4294967294)
    dns: list[Address] = []
    """The site's own resolvers."""


class Pool(FilePart):
    """The GPUs of one kind at a site."""

    gpu: GpuId
    nodes: int = Field(ge=1)
    gpus_per_node: int = Field(ge=1, le=16)
    failure_domains: int = Field(default=1, ge=1)
    interconnect: Literal["nvlink", "pcie"] = "pcie"
    mig: Literal["off", "allowed"] = "off"
    reserved_gpus: int = Field(default=0, ge=0)
    """GPUs that the platform leaves alone."""
    cpus_per_node: int | None = Field(default=None, ge=1)
    """CPUs (hardware threads) of a node; absent: the planner takes it that they are enough."""
    memory_gib_per_node: int | None = Field(default=None, ge=1)
    """Memory of a node, GiB; absent: the planner takes it that it is enough."""

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
    spare_nodes_per_pool: int = Field(default=0, ge=0)
    """Nodes that may be away for maintenance while the plan still holds."""


class OnPremCost(FilePart):
    """What the site's hardware costs; the planner shows every input."""

    capex_usd_per_node: dict[GpuId, Usd] = {}
    life_years: float = Field(default=4, gt=0)
    residual: float = Field(default=0, ge=0, lt=1)
    """Part of the capital that is left at the end."""
    power_kw_per_node: dict[GpuId, Usd] = {}
    pue: float = Field(default=1.3, ge=1)
    usd_per_kwh: Usd = 0
    colocation_usd_per_kw_month: Usd = 0
    support_usd_per_month: Usd = 0
    staff_usd_per_month: Usd = 0
    source: str | None = None
    """Where these figures come from: an offer, a contract, the books."""
    as_of: str | None = None
    """Of which day they are, like `2026-11-01`."""


class OnPremSite(FilePart):
    """An on-prem Kubernetes cluster."""

    name: DnsLabel
    kind: Literal["on-prem"]
    jurisdiction: Jurisdiction
    kube_context: str = Field(min_length=1)
    network: SiteNetwork
    pools: list[Pool] = []
    maintenance: Maintenance = Maintenance.model_construct()
    cost: OnPremCost | None = None

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
    """What the account has already and Isthmus is to use."""

    vpc: str | None = None
    subnets: list[str] = []
    """Private subnets of it, in two zones at least."""
    route_tables: list[str] = []
    """Route tables of those subnets."""
    transit_gateway: str | None = None
    direct_connect_gateway: str | None = None
    kms_key: KeyArn | None = None
    """The key under which records are sealed, in place of keys made here."""
    trust_anchor: str | None = None
    permissions_boundary: str | None = None
    trail: bool = False
    """The organisation's own CloudTrail trail covers the account."""
    invocation_logging: bool = False
    """Bedrock's log of calls is set up by the organisation."""
    audit_bucket: str | None = None


class AwsSite(FilePart):
    """An AWS region in one account."""

    name: DnsLabel
    kind: Literal["aws"]
    jurisdiction: Jurisdiction
    region: str
    account_id: AccountId | None = None
    vpc_cidr: Network | None = None
    allow: list[Literal["bedrock", "sagemaker", "eks"]] = []
    """What may be used there; nothing that is not named."""
    quotas: dict[str, Annotated[float, Field(ge=0)]] = {}
    """The account's quotas by AWS's own name."""
    prices: dict[str, Any] = {}
    """The organisation's own prices; their shape is the planner's."""
    latency: dict[str, Any] = {}
    """Evidence of an API's latency; its shape is the planner's."""
    existing: Existing = Existing.model_construct()

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

    from_: DnsLabel = Field(alias="from")
    to: DnsLabel
    kind: Literal["vpn", "direct-connect"]
    mbps: float = Field(gt=0)
    rtt_ms: float = Field(gt=0)
    usd_per_month: Usd = 0
    usd_per_gb: Usd = 0
    source: str | None = None
    """Where its prices come from, and of which day they are."""
    as_of: str | None = None
