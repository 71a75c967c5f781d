"""The components' arguments and the platform's contract, held together field by field."""

import sys
import types
import typing
from typing import Any, get_args, get_origin, get_type_hints

import pulumi
import pytest
from pydantic import BaseModel

from components.aws.account.budgets import BudgetSettings
from components.aws.bedrock.access import BedrockAccessArgs, BedrockModel, ProvisionedSettings
from components.aws.bedrock.guardrail import GuardrailPii, GuardrailSettings
from components.aws.bedrock.invocation_logging import InvocationLoggingArgs
from components.aws.eks.cluster import EksAdmin, EksClusterArgs, EksHybridNodes
from components.aws.eks.node_group import EksNodeGroupArgs
from components.aws.identity.trust_anchor import TrustAnchorArgs
from components.aws.link.site_link import SiteLinkArgs
from components.aws.network.network import NetworkArgs
from components.aws.records.cloud_trail import TrailSettings
from components.aws.records.trail import AuditTrailArgs
from components.aws.sagemaker import arguments as sagemaker_arguments
from components.chat.service import ChatArgs
from components.cluster.certificates import CertificateIssuer
from components.gateway.callers import GatewayAllowance, GatewayDatabase, GatewayTeam
from components.gateway.confidence import GatewayCalibration, GatewayReview
from components.gateway.fargate.gateway import FargateSettings
from components.gateway.inference_gateway import InferenceGatewayArgs
from components.gateway.records import GatewayAudit, GatewayContent
from components.gateway.router import GatewayRouter
from components.gateway.routes import GatewayCanary, GatewayRoute, TokenPrice
from components.gateway.screening import (
    GatewayScreening,
    ScreeningGuard,
    ScreeningModel,
    ScreeningPattern,
    ScreeningTopic,
)
from components.gateway.traces import GatewayTraces
from components.gateway.translator.proxy import TranslatorProxy
from components.gateway.translator.translator import NamedDestination
from components.pools import arguments as pool_arguments
from components.pools.gpu_operator import GpuOperatorArgs
from components.pools.gpu_pool import GpuPoolArgs
from components.reviews.service import GatewayReviewer, ReviewsArgs
from components.serving.arguments import (
    LoraAdapter,
    ModelCompileCache,
    ModelPicker,
    ModelScaling,
    ModelServerArgs,
    ModelSpeculative,
    ModelWeightCache,
    ModelWeights,
    ModelWeightStore,
)
from isthmus.contracts.platform.model import callers as platform_callers
from isthmus.contracts.platform.model import chat as platform_chat
from isthmus.contracts.platform.model import costs_and_traces
from isthmus.contracts.platform.model import platform as platform_model
from isthmus.contracts.platform.model import pools as platform_pools
from isthmus.contracts.platform.model import records as platform_records
from isthmus.contracts.platform.model import reviews as platform_reviews
from isthmus.contracts.platform.model import screening as platform_screening
from isthmus.contracts.platform.model import serving as platform_serving
from isthmus.contracts.platform.model.aws import account as platform_aws
from isthmus.contracts.platform.model.aws import eks as platform_eks
from isthmus.contracts.platform.model.aws import fargate as platform_fargate
from isthmus.contracts.platform.model.aws import sagemaker as platform_sagemaker
from isthmus.contracts.requirements import workloads as requirements_workloads

RENAMED = {"class_": "sensitivity"}
"""`class` is no name in Python; in the contract it is an alias."""

ELSEWHERE: dict[type, set[str]] = {
    # With the tokens that it verifies, in `sign_on` of the gateway's arguments.
    platform_fargate.Fargate: {"sign_on_secret"},
    # The site is which provider a component gets; the pool gives product and failure domains.
    platform_model.Endpoint: {
        *("site", "target", "gpus"),
        *("region", "inference_profile", "destination_regions", "sagemaker"),
        # They decide in which queue its pods wait, and before whom.
        *("team", "priority"),
        # What accounts charge, and how many requests are sent at once, is its gateway's to know.
        *("cost", "concurrency"),
    },
    # What a machine has, the planner and the rules on endpoints count with.
    platform_model.Pool: {
        *("site", "gpu", "failure_domains", "node_group", "cpus_per_node", "memory_gib_per_node"),
        # `isthmus up` sets it: a patch would own the taints of others too.
        "taint",
    },
    # A gateway's address follows from its class; routes are made of its workloads; what leads out is its translator's.
    platform_model.Gateway: {
        *("name", "host", "workloads", "identity", "proxy", "ca_bundle"),
        # Which component it is, and the settings of the other one.
        *("runs_on", "fargate"),
        # Its screening takes it with the rest.
        "redacted",
        # Components of their own.
        *("chat", "usage", "evaluator"),
        # In `scaling`, with where KEDA reads the metrics.
        *("max_replicas", "metrics_authentication"),
    },
    # What lets it answer people is for the policies to judge.
    platform_serving.Canary: {"evaluation", "shadow_by_token"},
    # Who bears it and what bounds it is WorkloadIdentity's; its guardrail is a part of its own, below.
    platform_model.Identity: {
        *(
            "assumed_by",
            "name",
            "site",
            "endpoints",
            "trust",
            "certificate_secret",
            "permissions_boundary",
            "guardrail",
        ),
    },
    # A team is whose salt its requests bear.
    platform_model.Workload: {
        "name",
        "overflow",
        "overflow_when_waiting",
        "residency",
        "adapter",
        # By them it is scored in its review's domain; who reviews it elsewhere, no gateway knows.
        "calibrations",
        "reviewed_by",
    },
    # Its keys, hours and cases are the gateway's, as whom it asks the database is a part of that.
    platform_reviews.GatewayReviews: {
        *("user", "decide_h", "escalated_h", "keep_days", "gateway_keys_volume", "cases"),
    },
    # Whether it is another chat, and how long its class keeps conversations, the site works out.
    platform_chat.GatewayChat: {"image"},
    # Where it was read.
    platform_reviews.Calibration: {"file"},
    # They are the sealer's, in a namespace of its own.
    platform_records.GatewayAudit: {"sealer_volume", "sealer_secret", "earlier_keys"},
    # Where sealers reach it is theirs to know.
    platform_model.AuditStore: {"address"},
    platform_serving.Scaling: {"endpoint"},
    # Classes decide which callers are let in; services and names are PrivateEndpoints' to make.
    # The site works out the names of its DNS firewall, and names deployers in policies of endpoints.
    platform_aws.Network: {"site", "classes", "services", "private_dns", "dns_firewall", "deployers"},
    platform_aws.Link: {"from_", "to"},
    # What signs and rotates certificates is the translator's, in the cluster.
    platform_aws.Trust: {"site", "issuer", "certificate_hours", "session_seconds"},
    # They decide on its tier.
    platform_aws.Guardrail: {"name", "site", "class_", "languages", "unfiltered_languages"},
    platform_aws.InvocationLogging: {"site"},
    platform_aws.Trail: {"name", "site"},
    platform_aws.Budget: {"site"},
    # Network and stage decide what a cluster stands in and what comes into it; its plain machines are a group's.
    platform_eks.Cluster: {
        *("site", "mode", "stage", "network", "eks_name", "system_nodes", "ebs_csi_role", "endpoints"),
    },
    # Said of the pool as a whole, and taken zone by zone.
    platform_eks.NodeGroup: {"zones", "min_nodes", "max_nodes"},
}
"""Fields of the contract that the component does not take, since others decide them."""

WORKED_OUT = (
    # Looked for before a component is made; the contract refuses a cluster of ours without a version.
    *("weights", "chart", "version", "text"),
    # A chat's client and days follow from its sign-on and its class; its `image` is that of its proxy.
    *("client", "history_days", "image"),
)

PAIRS: list[tuple[Any, type[BaseModel]]] = [
    (GpuPoolArgs, platform_model.Pool),
    (pool_arguments.PoolSharing, platform_pools.Sharing),
    (pool_arguments.ClassShare, platform_pools.ClassShare),
    (pool_arguments.TeamShare, platform_pools.TeamShare),
    (pool_arguments.QueuePreemption, platform_pools.Preemption),
    (pool_arguments.QueuePriority, platform_pools.Priority),
    (pool_arguments.PoolTopology, platform_pools.PoolTopology),
    (pool_arguments.PoolTimeSlicing, platform_pools.TimeSlicing),
    (pool_arguments.PoolDriver, platform_pools.Driver),
    (pool_arguments.DriverUpgrade, platform_pools.DriverUpgrade),
    (pool_arguments.DriverDrain, platform_pools.Drain),
    (pool_arguments.PoolFabric, platform_pools.Fabric),
    (pool_arguments.PoolRdma, platform_pools.Rdma),
    (pool_arguments.RdmaNetwork, platform_pools.RdmaNetwork),
    (GpuOperatorArgs, platform_pools.GpuOperatorRelease),
    (ModelServerArgs, platform_model.Endpoint),
    (ModelWeights, platform_model.Weights),
    (ModelWeightStore, platform_serving.WeightStore),
    (ModelWeightCache, platform_serving.WeightCache),
    (ModelCompileCache, platform_serving.CompileCache),
    (ModelSpeculative, platform_serving.Speculative),
    (ModelScaling, platform_serving.Scaling),
    (ModelPicker, platform_serving.Picker),
    (GatewayRouter, platform_serving.Router),
    (GatewayCanary, platform_serving.Canary),
    (GatewayAllowance, platform_callers.Allowance),
    (GatewayTeam, platform_callers.GatewayTeam),
    (GatewayDatabase, platform_callers.GatewayDatabase),
    (GatewayAudit, platform_records.GatewayAudit),
    (GatewayContent, platform_records.KeptContent),
    (GatewayTraces, costs_and_traces.Traces),
    (GatewayScreening, platform_screening.Screening),
    (ScreeningModel, platform_screening.EntityModel),
    (ScreeningPattern, platform_screening.ScreeningPattern),
    (ScreeningTopic, platform_screening.ScreeningTopic),
    (ScreeningGuard, platform_screening.ScreeningGuard),
    (ReviewsArgs, platform_reviews.GatewayReviews),
    (ChatArgs, platform_chat.GatewayChat),
    (GatewayReviewer, platform_reviews.Reviewer),
    (GatewayReview, requirements_workloads.Review),
    (GatewayCalibration, platform_reviews.Calibration),
    (TokenPrice, costs_and_traces.TokenPrice),
    (LoraAdapter, platform_model.Adapter),
    (InferenceGatewayArgs, platform_model.Gateway),
    (GatewayRoute, platform_model.Workload),
    (TranslatorProxy, platform_model.Proxy),
    (NamedDestination, platform_model.Destination),
    (FargateSettings, platform_fargate.Fargate),
    (BedrockAccessArgs, platform_model.Identity),
    (AuditTrailArgs, platform_model.AuditStore),
    (CertificateIssuer, platform_model.Issuer),
    (NetworkArgs, platform_aws.Network),
    (SiteLinkArgs, platform_aws.Link),
    (TrustAnchorArgs, platform_aws.Trust),
    (GuardrailSettings, platform_aws.Guardrail),
    (GuardrailPii, platform_aws.Pii),
    (ProvisionedSettings, platform_aws.Provisioned),
    (InvocationLoggingArgs, platform_aws.InvocationLogging),
    (TrailSettings, platform_aws.Trail),
    (BudgetSettings, platform_aws.Budget),
    (sagemaker_arguments.SageMakerEndpointArgs, platform_sagemaker.SageMaker),
    (sagemaker_arguments.SealingKeySettings, platform_sagemaker.SealingKey),
    (sagemaker_arguments.AutoscalingSettings, platform_sagemaker.Autoscaling),
    (sagemaker_arguments.ShadowSettings, platform_sagemaker.ShadowModel),
    (sagemaker_arguments.CaptureSettings, platform_sagemaker.Capture),
    (sagemaker_arguments.RollbackSettings, platform_sagemaker.Rollback),
    (sagemaker_arguments.RolloutSettings, platform_sagemaker.Rollout),
    (EksClusterArgs, platform_eks.Cluster),
    (EksAdmin, platform_eks.Admin),
    (EksHybridNodes, platform_eks.HybridNodes),
    (EksNodeGroupArgs, platform_eks.NodeGroup),
]


def base(hint: Any) -> str:
    """The plain kind of a hint: str, int, list, … without Input, NotRequired, None, Literal, constraints."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (typing.Annotated, typing.NotRequired, typing.Required):
        return base(arguments[0])
    if origin is typing.Literal:
        return type(arguments[0]).__name__
    if origin in (typing.Union, types.UnionType):
        kinds = [
            part for part in arguments if part is not type(None) and get_origin(part) is not pulumi.Output
        ]
        kinds = [
            part for part in kinds if get_origin(part) is None or get_origin(part) is not typing.Awaitable
        ]
        return base(kinds[0])
    if isinstance(hint, type) and (issubclass(hint, BaseModel) or typing.is_typeddict(hint)):
        return "part"
    return (origin or hint).__name__


@pytest.mark.parametrize(("arguments", "contract"), PAIRS, ids=lambda cls: cls.__name__)
def test_a_component_takes_the_fields_of_the_contract(arguments: Any, contract: type[BaseModel]) -> None:
    hints = get_type_hints(arguments, localns=vars(sys.modules["pulumi.output"]))
    missing = {
        RENAMED.get(field, field)
        for field in contract.model_fields
        if field not in ELSEWHERE.get(contract, set())
    } - set(hints)
    assert not missing, f"{arguments.__name__} lacks {missing}"
    stale = ELSEWHERE.get(contract, set()) - set(contract.model_fields)
    assert not stale, f"{contract.__name__} no longer has {stale}"


@pytest.mark.parametrize(("arguments", "contract"), PAIRS, ids=lambda cls: cls.__name__)
def test_a_field_is_of_the_same_kind_on_both_sides(arguments: Any, contract: type[BaseModel]) -> None:
    hints = get_type_hints(arguments, localns=vars(sys.modules["pulumi.output"]))
    for field, info in contract.model_fields.items():
        taken_type = hints.get(RENAMED.get(field, field))
        if taken_type is not None and field not in ELSEWHERE.get(contract, set()):
            assert base(taken_type) == base(info.annotation), f"{arguments.__name__}.{field}"


@pytest.mark.parametrize(("arguments", "contract"), PAIRS, ids=lambda cls: cls.__name__)
def test_the_contract_has_the_required_fields_of_the_component(
    arguments: Any, contract: type[BaseModel]
) -> None:
    """A required argument is a required field, or one with a default that is no None."""
    back = {value: key for key, value in RENAMED.items()}
    for argument in arguments.__required_keys__:
        info = contract.model_fields.get(back.get(str(argument), str(argument)))
        if info is not None and argument not in WORKED_OUT:
            assert info.is_required() or info.default is not None, f"{arguments.__name__}.{argument}"


def test_a_bedrock_model_takes_its_endpoints_fields_and_the_workload_on_whose_account() -> None:
    assert set(BedrockModel.__annotations__) - set(platform_model.Endpoint.model_fields) == {"workload"}
