"""Pulumi components of an LLM platform. Each works alone; `LlmPlatform` creates the whole platform of one contract.

Names are loaded at first use, so that a program imports only the SDK modules of the components that it uses.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.aws.account.budgets import Budgets
    from components.aws.bedrock.access import BedrockAccess
    from components.aws.bedrock.invocation_logging import InvocationLogging
    from components.aws.eks.cluster import EksCluster
    from components.aws.eks.node_group import EksNodeGroup
    from components.aws.identity.task_identity import TaskIdentity
    from components.aws.identity.trust_anchor import TrustAnchor
    from components.aws.identity.workload_identity import WorkloadIdentity
    from components.aws.link.site_link import SiteLink
    from components.aws.network.network import Network
    from components.aws.network.private_endpoints import PrivateEndpoints
    from components.aws.observability.serving_alarms import ServingAlarms
    from components.aws.records.identity import RecordsIdentity
    from components.aws.records.sealing_endpoint import SealingEndpoint
    from components.aws.records.share import RecordsShare
    from components.aws.records.trail import AuditTrail
    from components.aws.sagemaker.access import SageMakerAccess
    from components.aws.sagemaker.endpoint import SageMakerEndpoint
    from components.chat.service import Chat
    from components.cluster.admission import AdmissionGuard
    from components.cluster.class_namespace import ClassNamespace
    from components.evaluation.evaluator import Evaluator
    from components.gateway.audit_sealer import AuditSealer
    from components.gateway.fargate.execution_role import TaskExecution
    from components.gateway.fargate.gateway import FargateGateway
    from components.gateway.inference_gateway import InferenceGateway
    from components.llm_platform import LlmPlatform
    from components.pools.device_plugin import DevicePluginConfigs
    from components.pools.gpu_operator import GpuOperator
    from components.pools.gpu_pool import GpuPool
    from components.pools.mig import MigLayouts
    from components.reviews.service import Reviews
    from components.serving.model_server import ModelServer
    from components.usage.loader import UsageLoader

_WHERE = {
    "AdmissionGuard": "components.cluster.admission",
    "AuditSealer": "components.gateway.audit_sealer",
    "AuditTrail": "components.aws.records.trail",
    "BedrockAccess": "components.aws.bedrock.access",
    "Budgets": "components.aws.account.budgets",
    "Chat": "components.chat.service",
    "ClassNamespace": "components.cluster.class_namespace",
    "DevicePluginConfigs": "components.pools.device_plugin",
    "EksCluster": "components.aws.eks.cluster",
    "EksNodeGroup": "components.aws.eks.node_group",
    "Evaluator": "components.evaluation.evaluator",
    "FargateGateway": "components.gateway.fargate.gateway",
    "GpuOperator": "components.pools.gpu_operator",
    "GpuPool": "components.pools.gpu_pool",
    "InferenceGateway": "components.gateway.inference_gateway",
    "InvocationLogging": "components.aws.bedrock.invocation_logging",
    "LlmPlatform": "components.llm_platform",
    "MigLayouts": "components.pools.mig",
    "ModelServer": "components.serving.model_server",
    "Network": "components.aws.network.network",
    "PrivateEndpoints": "components.aws.network.private_endpoints",
    "RecordsIdentity": "components.aws.records.identity",
    "RecordsShare": "components.aws.records.share",
    "Reviews": "components.reviews.service",
    "SageMakerAccess": "components.aws.sagemaker.access",
    "SageMakerEndpoint": "components.aws.sagemaker.endpoint",
    "SealingEndpoint": "components.aws.records.sealing_endpoint",
    "ServingAlarms": "components.aws.observability.serving_alarms",
    "SiteLink": "components.aws.link.site_link",
    "TaskExecution": "components.gateway.fargate.execution_role",
    "TaskIdentity": "components.aws.identity.task_identity",
    "TrustAnchor": "components.aws.identity.trust_anchor",
    "UsageLoader": "components.usage.loader",
    "WorkloadIdentity": "components.aws.identity.workload_identity",
}

__all__ = [
    "AdmissionGuard",
    "AuditSealer",
    "AuditTrail",
    "BedrockAccess",
    "Budgets",
    "Chat",
    "ClassNamespace",
    "DevicePluginConfigs",
    "EksCluster",
    "EksNodeGroup",
    "Evaluator",
    "FargateGateway",
    "GpuOperator",
    "GpuPool",
    "InferenceGateway",
    "InvocationLogging",
    "LlmPlatform",
    "MigLayouts",
    "ModelServer",
    "Network",
    "PrivateEndpoints",
    "RecordsIdentity",
    "RecordsShare",
    "Reviews",
    "SageMakerAccess",
    "SageMakerEndpoint",
    "SealingEndpoint",
    "ServingAlarms",
    "SiteLink",
    "TaskExecution",
    "TaskIdentity",
    "TrustAnchor",
    "UsageLoader",
    "WorkloadIdentity",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'components' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)
