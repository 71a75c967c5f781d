"""The component Network: a VPC without inbound or outbound internet access."""

import string
from ipaddress import IPv4Network
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.ip_addresses import ipv4_network
from components.aws.common.log_group import (
    LogGroupOptions,
    SealedLogGroup,
    create_log_group,
    retention_period,
)
from components.aws.common.names import aws_name, domain, partition
from components.aws.common.role_policy import role_policy
from components.aws.identity.boundary import boundary_arn
from components.aws.network import dns_firewall
from components.base.argument_checks import MODES, check_choice
from isthmus.core.errors import InputError

SLOTS = 8
"""Number of parts of a VPC's network, one for each letter of a zone. Adding, removing or moving a zone leaves all
other subnets unchanged. No region has more than six zones, so two parts stay free."""
MIN_PREFIX, MAX_PREFIX = 16, 24
"""Prefix lengths of a VPC. AWS allows /16 to /28 (VPC quotas, as of knowledge, not checked). A /24 gives subnets of
/27 with 27 free addresses, enough for ten endpoints, a transit attachment and two resolvers."""


class NetworkArgs(TypedDict):
    """A private network of an AWS site."""

    name: str
    """Name of the network."""
    region: str
    """AWS region."""
    mode: str
    """`manage`: created here. `existing`: the organisation's, named below. `off`: none."""
    cidr: NotRequired[str]
    """CIDR of the VPC; for `manage` /16 to /24."""
    zones: NotRequired[list[str]]
    """`manage`: at least two availability zones. Each gets a private subnet."""
    vpc: NotRequired[pulumi.Input[str]]
    """`existing`: id of the VPC."""
    subnets: NotRequired[list[str]]
    """`existing`: ids of private subnets; the first two lie in different zones."""
    route_tables: NotRequired[list[str]]
    """`existing`: ids of the route tables of those subnets."""
    internet: NotRequired[bool]
    """Whether to create an internet gateway, with a route to it (default false)."""
    flow_log_days: int
    """Retention of the flow logs in days. CloudWatch Logs rounds it up to a period that it supports."""
    dns_mode: NotRequired[str]
    """DNS firewall: `manage`, `existing` (the organisation's) or `off`. Absent: the same as `mode`."""
    dns_names: NotRequired[list[str]]
    """The only DNS names that resolve, as full names or `*.zone`. Absent: AWS's names in the region."""
    query_log_days: NotRequired[int]
    """Retention of the DNS query log in days (default: `flow_log_days`)."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of the permissions boundary of the flow logs' role. Absent: one is created."""
    kms_key: NotRequired[pulumi.Input[str]]
    """ARN of the organisation's key that encrypts the log. Absent: a key is created."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class Network(pulumi.ComponentResource):
    """A VPC with a private subnet in each zone, one route table, no open security group, flow logs and a DNS
    firewall.

    `retained` lists what stays after a destroy: the flow and DNS query logs, and their keys.
    """

    vpc_id: pulumi.Output[str]
    """Id of the VPC. Empty with `off`."""
    subnet_ids: pulumi.Output[list[str]]
    """Ids of the private subnets, in the order of their zones."""
    route_table_ids: pulumi.Output[list[str]]
    """Ids of the subnets' route tables."""
    cidr: pulumi.Output[str]
    """CIDR of the VPC. Empty without one."""
    retained: pulumi.Output[list[str]]
    """ARNs of resources that a destroy retains: the flow and DNS query logs, and their keys."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:Network", name, dict(args), opts)
        where = f"networks.{args['name']}"
        mode = check_choice(args["mode"], MODES, f"{where}.mode")
        names = _resolved_names(args, mode, where)
        # In Python the number of tables is known before creation, so that callers can add a route to each.
        self.subnets: list[Any] = []
        self.route_tables: list[Any] = []
        vpc: pulumi.Input[str] = ""
        self._log_arns: list[pulumi.Output[str]] = []
        if mode == "existing":
            _check_existing(args, where)
            vpc = args.get("vpc", "")
            self.subnets, self.route_tables = (
                list(args.get("subnets", [])),
                list(args.get("route_tables", [])),
            )
        elif mode == "manage":
            retention_period(args["flow_log_days"], f"{where}.flow_log_days")
            plan = subnet_plan(args.get("cidr", ""), args.get("zones", []), args["region"], where)
            vpc = self._create_network(name, args, plan)
        if names:
            self._log_arns += dns_firewall.create(
                name,
                vpc=vpc,
                names=names,
                log_days=args.get("query_log_days", args["flow_log_days"]),
                log_options=self._log_options(args),
                where=where,
                parent=self,
            )
        self.retained = pulumi.Output.all(*self._log_arns)
        self.vpc_id = pulumi.Output.from_input(vpc)
        self.subnet_ids = pulumi.Output.from_input(self.subnets)
        self.route_table_ids = pulumi.Output.from_input(self.route_tables)
        self.cidr = pulumi.Output.from_input("" if mode == "off" else args.get("cidr", ""))
        self.register_outputs(
            {
                "vpc_id": self.vpc_id,
                "subnet_ids": self.subnet_ids,
                "route_table_ids": self.route_table_ids,
                "cidr": self.cidr,
                "retained": self.retained,
            }
        )

    def _create_network(self, name: str, args: NetworkArgs, plan: dict[str, str]) -> pulumi.Output[str]:
        """Create the VPC, its subnets by `subnet_plan`, their route table and the flow logs. Returns the VPC's id."""
        from pulumi_aws import ec2

        tags, child = args.get("tags", {}), pulumi.ResourceOptions(parent=self)
        vpc = self._create_vpc(name, args)
        # One table for all zones: transit gateway and gateway endpoints are the same in every zone, and a single
        # table is easier to review. Only NAT gateways would need a table for each zone.
        table = ec2.RouteTable(
            f"{name}-routes", vpc_id=vpc, tags={**tags, "Name": f"{name}-private"}, opts=child
        )
        self.route_tables = [table.id]
        self.subnets = [
            self._create_subnet(f"{name}-{zone}", zone, cidr, vpc, table.id, tags)
            for zone, cidr in plan.items()
        ]
        if args.get("internet", False):
            self._route_to_internet(name, vpc, table.id, tags)
        self._create_flow_logs(name, args, vpc)
        return vpc

    def _create_vpc(self, name: str, args: NetworkArgs) -> pulumi.Output[str]:
        """Create the VPC, and empty its default security group. Returns its id."""
        from pulumi_aws import ec2

        tags, child = args.get("tags", {}), pulumi.ResourceOptions(parent=self)
        vpc = ec2.Vpc(
            f"{name}-vpc",
            cidr_block=args.get("cidr"),
            # Private DNS of the endpoints and the resolvers need both.
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={**tags, "Name": f"{name}-vpc"},
            opts=child,
        )
        # Resources without a security group get this one, so it allows nothing.
        ec2.DefaultSecurityGroup(
            f"{name}-default-group", vpc_id=vpc.id, ingress=[], egress=[], tags=tags, opts=child
        )
        return vpc.id

    def _create_subnet(
        self,
        name: str,
        zone: str,
        cidr: str,
        vpc: pulumi.Output[str],
        table: pulumi.Output[str],
        tags: dict[str, str],
    ) -> pulumi.Output[str]:
        """Create the private subnet of a zone. Returns its id."""
        from pulumi_aws import ec2

        child = pulumi.ResourceOptions(parent=self)
        subnet = ec2.Subnet(
            name,
            vpc_id=vpc,
            availability_zone=zone,
            cidr_block=cidr,
            map_public_ip_on_launch=False,
            tags={**tags, "Name": name},
            opts=child,
        )
        ec2.RouteTableAssociation(f"{name}-routes", subnet_id=subnet.id, route_table_id=table, opts=child)
        return subnet.id

    def _route_to_internet(
        self, name: str, vpc: pulumi.Output[str], table: pulumi.Output[str], tags: dict[str, str]
    ) -> None:
        from pulumi_aws import ec2

        child = pulumi.ResourceOptions(parent=self)
        gateway = ec2.InternetGateway(f"{name}-internet", vpc_id=vpc, tags=tags, opts=child)
        ec2.Route(
            f"{name}-internet-route",
            route_table_id=table,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=child,
        )

    def _create_flow_logs(self, name: str, args: NetworkArgs, vpc: pulumi.Output[str]) -> None:
        """Log all traffic of the VPC, when the role that writes the log has its policy."""
        from pulumi_aws import ec2

        tags, log_options = args.get("tags", {}), self._log_options(args)
        group = create_log_group(
            f"{name}-flow",
            f"/isthmus/network/{name}/flow-",
            args["flow_log_days"],
            f"networks.{args['name']}.flow_log_days",
            log_options,
        )
        role, policy = self._create_flow_role(name, args, group, log_options.account)
        ec2.FlowLog(
            f"{name}-flow",
            vpc_id=vpc,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            # The shorter of AWS's two intervals: ten minutes would merge short connections.
            max_aggregation_interval=60,
            tags=tags,
            # A role without its policy writes nothing, and AWS reports that only in the flow log's state.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self._log_arns += group.made

    def _create_flow_role(
        self, name: str, args: NetworkArgs, group: SealedLogGroup, account: pulumi.Input[str]
    ) -> tuple[Any, pulumi.Resource]:
        """The role that writes the flow logs, and its policy."""
        from pulumi_aws.iam import Role

        region, tags = args["region"], args.get("tags", {})
        child = pulumi.ResourceOptions(parent=self)
        writes = _writes(region, account, group)
        role = Role(
            f"{name}-flow-role",
            # A generated name could be longer than IAM's limit of 64 characters.
            name=aws_name(f"{name}-flow", 64),
            description=f"Writes the flow logs of {name}",
            assume_role_policy=pulumi.Output.json_dumps(_trust(region, account)),
            permissions_boundary=boundary_arn(
                f"{name}-flow", args.get("permissions_boundary"), writes, child, tags=tags
            ),
            tags=tags,
            opts=child,
        )
        return role, role_policy(f"{name}-flow-policy", role, writes, child)

    def _log_options(self, args: NetworkArgs) -> LogGroupOptions:
        """Options of the flow and DNS query logs, which stay after a destroy."""
        from pulumi_aws import get_caller_identity_output

        account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id
        retained_opts = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        return LogGroupOptions(
            args["region"], account, args.get("tags", {}), retained_opts, args.get("kms_key")
        )


def _resolved_names(args: NetworkArgs, mode: str, where: str) -> list[str]:
    """The names that the DNS firewall lets the VPC resolve. Empty if no firewall is created."""
    dns_mode = check_choice(args.get("dns_mode", mode), MODES, f"{where}.dns_mode")
    if mode == "off" or dns_mode != "manage":
        return []
    names = args.get("dns_names")
    return dns_firewall.check_names(
        regional_names(args["region"]) if names is None else names, f"{where}.dns_names"
    )


def regional_names(region: str) -> list[str]:
    """Names of AWS's services in a region, and of resources in the VPC. AWS owns all of these zones."""
    return [f"*.{region}.{domain(region)}", f"s3.{region}.{domain(region)}", vpc_names(region)]


def vpc_names(region: str) -> str:
    """Names that AWS gives to instances of a VPC. Its resolver answers them itself."""
    return "*.ec2.internal" if region == "us-east-1" else f"*.{region}.compute.internal"


def subnet_plan(cidr: str, zones: list[str], region: str, where: str) -> dict[str, str]:
    """Each zone's subnet, by zone in alphabetical order: the part of the VPC that belongs to its letter.

    A subnet is an eighth of the VPC (/19 of a /16, /27 of a /24), whatever the number of zones. At least a quarter
    of the VPC stays free.
    """
    vpc_network = _vpc_network(cidr, where)
    if len(set(zones)) < 2:
        raise InputError(
            f"the network is in {len(set(zones))} zones: one failure could take down all of it",
            where=f"{where}.zones",
            fix=f"List two or more, like [{region}a, {region}b]",
        )
    subnets = list(vpc_network.subnets(prefixlen_diff=(SLOTS - 1).bit_length()))
    letters = string.ascii_lowercase[:SLOTS]
    for index, zone in enumerate(zones):
        if zone[:-1] != region or zone[-1] not in letters or zone in zones[:index]:
            problem = "is listed twice" if zone in zones[:index] else f"is not a zone of {region}"
            raise InputError(
                f"'{zone}' {problem}",
                where=f"{where}.zones.{index}",
                fix=f"Use zones like {region}a, each once",
            )
    return {zone: str(subnets[letters.index(zone[-1])]) for zone in sorted(zones)}


def _vpc_network(cidr: str, where: str) -> IPv4Network:
    if not cidr:
        raise InputError("the network has no cidr", where=f"{where}.cidr", fix="Set cidr, e.g. 10.60.0.0/16")
    network = ipv4_network(cidr, f"{where}.cidr")
    if not MIN_PREFIX <= network.prefixlen <= MAX_PREFIX:
        size = "large" if network.prefixlen < MIN_PREFIX else "small"
        raise InputError(
            f"{cidr} is too {size} for a VPC of this platform",
            where=f"{where}.cidr",
            fix=f"Use a network between /{MIN_PREFIX} and /{MAX_PREFIX}",
        )
    return network


def _check_existing(args: NetworkArgs, where: str) -> None:
    if not args.get("vpc"):
        raise InputError(
            "the existing network has no vpc", where=f"{where}.vpc", fix="Set vpc to its id (vpc-…)"
        )
    count = len(set(args.get("subnets", [])))
    if count < 2:
        raise InputError(
            f"the existing network lists {count} private subnets; at least 2 are needed",
            where=f"{where}.subnets",
            fix="List private subnets in at least two zones (subnet-…)",
        )
    if args.get("cidr"):
        ipv4_network(args.get("cidr", ""), f"{where}.cidr")


def _trust(region: str, account: pulumi.Input[str]) -> dict[str, Any]:
    """The trust policy: the flow logs of this account and region only."""
    source = pulumi.Output.format("arn:{}:ec2:{}:{}:vpc-flow-log/*", partition(region), region, account)
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "FlowLogs",
                "Effect": "Allow",
                "Principal": {"Service": "vpc-flow-logs.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": account},
                    "ArnLike": {"aws:SourceArn": source},
                },
            }
        ],
    }


def _writes(region: str, account: pulumi.Input[str], group: SealedLogGroup) -> list[dict[str, Any]]:
    """Permissions for writing to the group. The service first lists all groups, by name only."""
    groups = pulumi.Output.format("arn:{}:logs:{}:{}:log-group:*", partition(region), region, account)
    return [
        {
            "Sid": "Write",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
            "Resource": [group.arn, pulumi.Output.concat(group.arn, ":*")],
        },
        {"Sid": "Find", "Effect": "Allow", "Action": ["logs:DescribeLogGroups"], "Resource": [groups]},
    ]
