"""AWS operations that moto lacks or answers differently from AWS. One module for each service; this one lists all."""

from __future__ import annotations

from sandbox.aws.beside import (
    autoscaling,
    bedrock_access,
    bedrock_models,
    bedrock_runtime,
    budgets,
    cloudtrail,
    costexplorer,
    directconnect,
    dns_firewall,
    ec2_endpoints,
    ec2_flow_logs,
    ec2_security,
    ec2_vpc,
    efs,
    eks,
    eks_access,
    eks_parts,
    metric_filters,
    resolver,
    rolesanywhere_sessions,
    sagemaker,
    service_quotas,
    sts,
)
from sandbox.aws.beside.bedrock import OPERATIONS as BEDROCK
from sandbox.aws.beside.bedrock_models import OPERATIONS as BEDROCK_MODELS
from sandbox.aws.beside.bedrock_state import OPERATIONS as BEDROCK_TAGS
from sandbox.aws.beside.ec2_transit_gateway import OPERATIONS as TRANSIT_GATEWAYS
from sandbox.aws.beside.ec2_vpn import OPERATIONS as VPN
from sandbox.aws.beside.guardrails import OPERATIONS as GUARDRAILS
from sandbox.aws.beside.logs import OPERATIONS as LOGS
from sandbox.aws.beside.rolesanywhere import OPERATIONS as ROLES_ANYWHERE
from sandbox.aws.beside.service_quotas import OPERATIONS as SERVICE_QUOTAS
from sandbox.aws.pages import Page
from sandbox.aws.service_frame import Operation

OPERATIONS: tuple[Operation, ...] = (
    *autoscaling.OPERATIONS,
    *BEDROCK,
    *BEDROCK_MODELS,
    *bedrock_access.OPERATIONS,
    *bedrock_runtime.OPERATIONS,
    *BEDROCK_TAGS,
    *budgets.OPERATIONS,
    *cloudtrail.OPERATIONS,
    *costexplorer.OPERATIONS,
    *directconnect.OPERATIONS,
    *dns_firewall.OPERATIONS,
    *ec2_vpc.OPERATIONS,
    *ec2_security.OPERATIONS,
    *ec2_endpoints.OPERATIONS,
    *ec2_flow_logs.OPERATIONS,
    *efs.OPERATIONS,
    *eks.OPERATIONS,
    *eks_parts.OPERATIONS,
    *eks_access.OPERATIONS,
    *GUARDRAILS,
    *LOGS,
    *metric_filters.OPERATIONS,
    *resolver.OPERATIONS,
    *ROLES_ANYWHERE,
    *sagemaker.OPERATIONS,
    *SERVICE_QUOTAS,
    *sts.OPERATIONS,
    *TRANSIT_GATEWAYS,
    *VPN,
)
PAGES: tuple[Page, ...] = (
    *rolesanywhere_sessions.PAGES,
    *bedrock_models.PAGES,
    *bedrock_access.PAGES,
    *service_quotas.PAGES,
)
"""Addresses that botocore's models do not describe: AWS's and the sandbox's own (`sandbox.aws.pages`)."""
