"""Builds the arguments of a Fargate gateway from the platform's contract."""

from __future__ import annotations

from typing import Any

import pulumi

from components.aws.common.image_pull import PULL, repository_arn
from components.aws.identity.mapping import role_bounds
from components.aws.identity.task_identity import TaskIdentityArgs
from components.aws.network.endpoint_policy import EndpointGrant
from components.base.platform_lookups import (
    boundary_argument,
    exception_arguments,
    model_name,
    region_at,
    tags,
)
from components.gateway.fargate.execution_role import LOG, TaskExecutionArgs
from components.gateway.fargate.gateway import FargateGatewayArgs
from components.gateway.sealing import Sealed
from components.gateway.translator.mapping import CloudSide, cloud_models
from isthmus.contracts.platform.lookups.records import audit_store_of, seal_prefix
from isthmus.contracts.platform.lookups.sign_on import tokens_of
from isthmus.contracts.platform.model.aws.fargate import Fargate
from isthmus.contracts.platform.model.platform import Gateway, Identity, Platform
from isthmus.core.errors import InputError


def task_identity_args(
    platform: Platform, identity: Identity, vpc: Any, account: pulumi.Input[str], hosted: list[Any]
) -> TaskIdentityArgs:
    """`hosted`: ARNs of the SageMaker endpoints that it may call."""
    arguments = {
        **role_bounds(platform, identity, vpc, account, hosted),
        "region": region_at(platform, identity.site),
    }
    return arguments  # type: ignore[return-value]


def fargate_settings(gateway: Gateway) -> Fargate:
    if gateway.fargate is None:
        raise InputError(
            f"gateway '{gateway.name}' has no Fargate settings", where=f"gateways.{gateway.name}.fargate"
        )
    return gateway.fargate


def images_of(platform: Platform, gateway: Gateway) -> dict[str, str]:
    """Image of each task."""
    if platform.images.translator is None:
        raise InputError("the image of the translator is not set", where="images.translator")
    images = {"edge": platform.images.edge, "translator": platform.images.translator}
    # The translator's image contains the S3 client.
    return images | ({"sealer": platform.images.translator} if gateway.audit is not None else {})


def secrets_of(gateway: Gateway) -> dict[str, list[str]]:
    """ARNs of the secrets of each task."""
    settings = fargate_settings(gateway)
    edge_secrets = [gateway.certificate_secret or "", gateway.callers_secret]
    edge_secrets += [settings.sign_on_secret] if settings.sign_on_secret is not None else []
    secrets = {"edge": edge_secrets, "translator": [settings.translator_secret]}
    if gateway.audit is None:
        return secrets
    return secrets | {"edge": [*edge_secrets, gateway.audit.secret], "sealer": [gateway.audit.sealer_secret]}


def execution_args(platform: Platform, gateway: Gateway, vpc: Any) -> TaskExecutionArgs:
    settings = fargate_settings(gateway)
    arguments: dict[str, Any] = {
        "name": gateway.name,
        "sensitivity": gateway.class_,
        "region": region_at(platform, gateway.site),
        "images": images_of(platform, gateway),
        "secrets": secrets_of(gateway),
        "log_days": settings.log_days,
        "source_vpc": vpc,
        "tags": tags(platform),
        **boundary_argument(platform.site(gateway.site)),
        **exception_arguments(platform, [workload.name for workload in gateway.workloads]),
    }
    if settings.secrets_key:
        arguments["secrets_key"] = settings.secrets_key
    return arguments  # type: ignore[return-value]


def start_grants(platform: Platform, gateway: Gateway, execution: Any) -> list[EndpointGrant]:
    """Permissions of ECS at the private endpoints to start a gateway's tasks: each execution role for its own task."""
    secrets = secrets_of(gateway)
    repositories = {
        task: repository_arn(image, f"gateways.{gateway.name}.image")
        for task, image in images_of(platform, gateway).items()
    }
    roles = execution.roles
    grants: list[EndpointGrant] = [
        {
            "service": "ecr.api",
            "principals": [roles[task] for task in sorted(roles)],
            "actions": ["ecr:GetAuthorizationToken"],
            "resources": ["*"],
        },
        {
            "service": "logs",
            "principals": [roles[task] for task in sorted(roles)],
            "actions": LOG,
            "resources": [execution.log_streams],
        },
    ]
    for task in sorted(roles):
        for service in ("ecr.api", "ecr.dkr"):
            grants.append(
                {
                    "service": service,
                    "principals": [roles[task]],
                    "actions": PULL,
                    "resources": [repositories[task]],
                }
            )
        grants.append(
            {
                "service": "secretsmanager",
                "principals": [roles[task]],
                "actions": ["secretsmanager:GetSecretValue"],
                "resources": list(secrets[task]),
            }
        )
    return grants


def fargate_args(
    platform: Platform,
    gateway: Gateway,
    cloud_side: CloudSide,
    role: Any,
    execution: Any,
    network: Any,
    endpoints: Any,
    sealed: Sealed | None,
) -> FargateGatewayArgs:
    """`network`, `endpoints`, `execution`: the gateway's components. `sealed`: where its records go."""
    identity = next(candidate for candidate in platform.identities if candidate.name == gateway.identity)
    images = images_of(platform, gateway)
    arguments: dict[str, Any] = {
        "name": gateway.name,
        "sensitivity": gateway.class_,
        "site": gateway.site,
        "region": region_at(platform, gateway.site),
        "host": gateway.host,
        "image": images["edge"],
        "translator_image": images["translator"],
        "routes": [
            {
                "workload": workload.name,
                "endpoint": model_name(workload.endpoint, workload.name),
                **({"interfaces": list(workload.interfaces)} if workload.interfaces else {}),
                **(
                    {"fallback": [model_name(name, workload.name) for name in workload.fallback]}
                    if workload.fallback
                    else {}
                ),
            }
            for workload in gateway.workloads
        ],
        "models": cloud_models(platform, identity, cloud_side),
        "callers_secret": gateway.callers_secret,
        "certificate_secret": gateway.certificate_secret or "",
        "fargate": fargate_settings(gateway).model_dump(exclude={"sign_on_secret"}, exclude_none=True),
        "replicas": gateway.replicas,
        **({"max_replicas": gateway.max_replicas} if gateway.max_replicas is not None else {}),
        "vpc_id": network.vpc_id,
        "subnet_ids": network.subnets,
        "endpoints_group": endpoints.group_id,
        "s3_prefix_list": endpoints.s3_prefix_list,
        "task_role": role,
        "execution_roles": dict(execution.roles),
        "log_group": execution.log_group,
        "tags": tags(platform),
        **exception_arguments(platform, [workload.name for workload in gateway.workloads]),
    }
    tokens, secret = tokens_of(platform, gateway), fargate_settings(gateway).sign_on_secret
    if tokens is not None and secret is not None:
        arguments["sign_on"] = {"tokens": tokens, "keys_secret": secret}
    if gateway.audit is not None and sealed is not None:
        arguments["audit"] = _audit(platform, gateway, sealed)
    return arguments  # type: ignore[return-value]


def _audit(platform: Platform, gateway: Gateway, sealed: Sealed) -> dict[str, Any]:
    """Argument `audit` of `FargateGatewayArgs`."""
    store, share = audit_store_of(platform, gateway), sealed.share
    assert gateway.audit is not None  # the contract guarantees it and the store; the share is always created
    assert store is not None
    assert share is not None
    audit_fields = {"secret", "sealer_secret", "earlier_keys", "policy", "max_unsealed_s"}
    return {
        **gateway.audit.model_dump(include=audit_fields, exclude_none=True),
        "share": {
            "file_system": share.file_system_id,
            "group": share.group_id,
            "access_points": dict(share.points),
        },
        "store": {
            "bucket": sealed.bucket,
            "prefix": seal_prefix(gateway),
            "retention_days": store.retention_days,
        },
        "task_role": sealed.gateway_role,
        "sealer_role": sealed.role,
    }
