"""Builds the arguments of BedrockAccess and InvocationLogging from the platform's contract."""

from __future__ import annotations

from typing import Any

from components.aws.bedrock.access import BedrockAccessArgs, BedrockModel
from components.aws.bedrock.invocation_logging import InvocationLoggingArgs
from components.base.platform_lookups import (
    boundary_argument,
    calls_of,
    exception_arguments,
    guardrail_of,
    key_argument,
    region_at,
    region_of,
    regions_of,
    tags,
)
from isthmus.contracts.platform.model.aws.account import InvocationLogging
from isthmus.contracts.platform.model.platform import Endpoint, Identity, Platform
from isthmus.contracts.platform.rules.aws.account import tier_of


def bedrock_args(platform: Platform, identity: Identity, role: Any, vpc: Any) -> BedrockAccessArgs:
    calls = calls_of(platform, identity, "bedrock")
    ids = {endpoint.id for endpoint, _ in calls}
    arguments: dict[str, Any] = {
        "name": identity.name,
        "sensitivity": identity.class_,
        "role": role,
        "models": [_model(platform, endpoint, workload) for endpoint, workload in calls],
        "provisioned": [
            provision.model_dump(include={"name", "endpoint", "model_units", "commitment"})
            for provision in platform.provisioned
            if provision.endpoint in ids
        ],
        "tags": tags(platform),
        **exception_arguments(platform, [workload for _, workload in calls]),
    }
    if vpc is not None:
        arguments["source_vpc"] = vpc
    if identity.network_condition != "own-region":
        arguments["network_condition"] = identity.network_condition
    guardrail = guardrail_of(platform, identity)
    if guardrail is not None:
        exclude = {"name", "site", "class_", "languages", "unfiltered_languages", "tier"}
        arguments["guardrail"] = guardrail.model_dump(exclude=exclude, exclude_none=True)
        if guardrail.mode == "manage" and tier_of(platform, guardrail) == "standard":
            arguments["guardrail"]["tier"] = "standard"
    return arguments  # type: ignore[return-value]


def _model(platform: Platform, endpoint: Endpoint, workload: str) -> BedrockModel:
    model: dict[str, Any] = {
        "id": endpoint.id,
        "workload": workload,
        "model": endpoint.model,
        "region": region_of(platform, endpoint),
    }
    if endpoint.inference_profile:
        model["inference_profile"] = endpoint.inference_profile
        model["destination_regions"] = regions_of(platform, endpoint)
    return model  # type: ignore[return-value]


def logging_args(platform: Platform, logging: InvocationLogging) -> InvocationLoggingArgs:
    arguments: dict[str, Any] = {
        **logging.model_dump(include={"name", "mode", "text", "retention_days"}),
        "region": region_at(platform, logging.site),
        "tags": tags(platform),
        **boundary_argument(platform.site(logging.site)),
        **key_argument(platform.site(logging.site)),
    }
    return arguments  # type: ignore[return-value]
