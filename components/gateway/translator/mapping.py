"""Builds the arguments of a translator from the platform's contract: its models, and the network path to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.base.platform_lookups import calls_of, model_name, region_at, region_of, scaling_arguments
from components.gateway.translator.translator import CloudModel, TranslatorSettings
from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Identity, Platform


@dataclass(frozen=True)
class CloudSide:
    """The AWS settings of a translator."""

    trust_anchor: Any
    profile: Any
    role: Any
    model_ids: Any
    """Output: ARN to call, by `model_name`."""
    guardrail: dict[str, Any] | None
    """`id` and `version`, both outputs."""
    runtime_url: Any | None
    """URL of Bedrock's private endpoint. None: its public name (public class without a network)."""
    sessions_url: Any | None
    """URL of the private endpoint that creates sessions."""
    hosted: Mapping[str, Any] = field(default_factory=dict)
    """Names in AWS of the SageMaker endpoints that it calls, by endpoint id."""
    hosted_url: Any | None = None
    """URL of SageMaker's private endpoint."""


def hosted_model(name: str, endpoint: Endpoint, region: str, cloud_side: CloudSide) -> dict[str, Any]:
    """A model on SageMaker in the translator's configuration."""
    model: dict[str, Any] = {
        "name": name,
        "provider": "sagemaker",
        "region": region,
        "endpoint": cloud_side.hosted[endpoint.id],
        "model": endpoint.model,
    }
    return {**model, "endpoint_url": cloud_side.hosted_url} if cloud_side.hosted_url is not None else model


def cloud_models(platform: Platform, identity: Identity, cloud_side: CloudSide) -> list[CloudModel]:
    """The models of an identity's translator: one for each workload, with the guardrail."""
    models: list[dict[str, Any]] = []
    for endpoint, workload in calls_of(platform, identity):
        name = model_name(endpoint.id, workload)
        if endpoint.target == "sagemaker":
            models.append(hosted_model(name, endpoint, region_of(platform, endpoint), cloud_side))
            continue
        model: dict[str, Any] = {
            "name": name,
            "region": region_of(platform, endpoint),
            "inference_profile": endpoint.inference_profile or endpoint.model,
            "model_id": cloud_side.model_ids.apply(lambda ids, name=name: ids[name]),
        }
        if cloud_side.guardrail is not None:
            model["guardrail"] = dict(cloud_side.guardrail)
        if cloud_side.runtime_url is not None:
            model["endpoint_url"] = cloud_side.runtime_url
        models.append(model)
    return models  # type: ignore[return-value]


def translator_args(platform: Platform, gateway: Gateway, cloud_side: CloudSide) -> TranslatorSettings:
    """The translator of a gateway: its models by workload with the guardrail, and its identity."""
    identity = next(candidate for candidate in platform.identities if candidate.name == gateway.identity)
    trust = next((candidate for candidate in platform.trust if candidate.name == identity.trust), None)
    fields = gateway.model_dump(include={"proxy", "ca_bundle"}, exclude_none=True)
    arguments: dict[str, Any] = {
        **fields,
        "image": platform.images.translator,
        "models": cloud_models(platform, identity, cloud_side),
        "replicas": gateway.replicas,
        **scaling_arguments(platform, gateway),
    }
    if trust is None:
        arguments["pod_identity"] = cloud_side.role
        return arguments  # type: ignore[return-value]
    proof: dict[str, Any] = {
        "trust_anchor_arn": cloud_side.trust_anchor,
        "profile_arn": cloud_side.profile,
        "role_arn": cloud_side.role,
        "region": region_at(platform, identity.site),
        "session_seconds": trust.session_seconds,
        "image": platform.images.credential_helper,
        "certificate_hours": trust.certificate_hours,
    }
    if cloud_side.sessions_url is not None:
        proof["endpoint_url"] = cloud_side.sessions_url
    if identity.certificate_secret:
        proof["certificate_secret"] = identity.certificate_secret
    elif trust.issuer is not None:
        proof["issuer"] = trust.issuer.model_dump()
    arguments["identity"] = proof
    return arguments  # type: ignore[return-value]
