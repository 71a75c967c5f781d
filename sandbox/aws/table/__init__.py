"""The table: every resource type that the sandbox's AWS provider serves, by token."""

from __future__ import annotations

from sandbox.aws.model import Type
from sandbox.aws.table import (
    bedrock,
    budgets,
    cloudtrail,
    cloudwatch,
    costexplorer,
    directconnect,
    ec2_endpoints,
    ec2_launch_template,
    ec2_routes,
    ec2_security,
    ec2_transit_gateway,
    ec2_transit_routes,
    ec2_vpc,
    ec2_vpn,
    eks,
    eks_access,
    eks_parts,
    events,
    iam,
    kms,
    logs,
    resolver,
    rolesanywhere,
    s3,
    secrets,
    sns,
)

_MODULES = (
    kms,
    s3,
    iam,
    logs,
    rolesanywhere,
    bedrock,
    ec2_transit_gateway,
    ec2_transit_routes,
    ec2_vpn,
    directconnect,
    resolver,
    secrets,
    ec2_vpc,
    ec2_routes,
    ec2_security,
    ec2_endpoints,
    ec2_launch_template,
    eks,
    eks_parts,
    eks_access,
    cloudtrail,
    cloudwatch,
    events,
    sns,
    budgets,
    costexplorer,
)
TYPES: dict[str, Type] = {entry.token: entry for module in _MODULES for entry in module.TYPES}
WHERE = "sandbox/aws/table"
"""Where a type is added, for the error that names an unknown one."""
