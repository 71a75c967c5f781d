"""Pulumi components of an LLM platform: each works alone; `LlmPlatform` makes the whole of one contract.

Names are loaded when first used, so that a program imports the SDK modules of the components it uses
and no others.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.aws.bedrock_access import BedrockAccess
    from components.aws.eks_cluster import EksCluster
    from components.aws.eks_node_group import EksNodeGroup
    from components.aws.invocation_logging import InvocationLogging
    from components.aws.network import Network
    from components.aws.private_endpoints import PrivateEndpoints
    from components.aws.records_identity import RecordsIdentity
    from components.aws.records_share import RecordsShare
    from components.aws.sagemaker_access import SageMakerAccess
    from components.aws.sagemaker_endpoint import SageMakerEndpoint
    from components.aws.sealing_endpoint import SealingEndpoint
    from components.aws.task_identity import TaskIdentity
    from components.aws.trust_anchor import TrustAnchor
    from components.aws.workload_identity import WorkloadIdentity
    from components.gateway.audit_sealer import AuditSealer
    from components.gateway.fargate_execution import TaskExecution
    from components.gateway.fargate_gateway import FargateGateway
    from components.gateway.inference_gateway import InferenceGateway
    from components.gateway.reviews import Reviews
    from components.governance.audit_trail import AuditTrail
    from components.governance.budgets import Budgets
    from components.link.site_link import SiteLink
    from components.llm_platform import LlmPlatform
    from components.onprem.admission import AdmissionGuard
    from components.onprem.device_plugin import DevicePluginConfigs
    from components.onprem.gpu_operator import GpuOperator
    from components.onprem.gpu_pool import GpuPool
    from components.onprem.mig import MigLayouts
    from components.onprem.model_server import ModelServer
    from components.onprem.namespace import ClassNamespace

_WHERE = {
    "AdmissionGuard": "components.onprem.admission",
    "AuditSealer": "components.gateway.audit_sealer",
    "AuditTrail": "components.governance.audit_trail",
    "BedrockAccess": "components.aws.bedrock_access",
    "Budgets": "components.governance.budgets",
    "ClassNamespace": "components.onprem.namespace",
    "DevicePluginConfigs": "components.onprem.device_plugin",
    "EksCluster": "components.aws.eks_cluster",
    "EksNodeGroup": "components.aws.eks_node_group",
    "FargateGateway": "components.gateway.fargate_gateway",
    "GpuOperator": "components.onprem.gpu_operator",
    "GpuPool": "components.onprem.gpu_pool",
    "InferenceGateway": "components.gateway.inference_gateway",
    "InvocationLogging": "components.aws.invocation_logging",
    "LlmPlatform": "components.llm_platform",
    "MigLayouts": "components.onprem.mig",
    "ModelServer": "components.onprem.model_server",
    "Network": "components.aws.network",
    "PrivateEndpoints": "components.aws.private_endpoints",
    "RecordsIdentity": "components.aws.records_identity",
    "RecordsShare": "components.aws.records_share",
    "Reviews": "components.gateway.reviews",
    "SageMakerAccess": "components.aws.sagemaker_access",
    "SageMakerEndpoint": "components.aws.sagemaker_endpoint",
    "SealingEndpoint": "components.aws.sealing_endpoint",
    "SiteLink": "components.link.site_link",
    "TaskExecution": "components.gateway.fargate_execution",
    "TaskIdentity": "components.aws.task_identity",
    "TrustAnchor": "components.aws.trust_anchor",
    "WorkloadIdentity": "components.aws.workload_identity",
}

__all__ = [
    "AdmissionGuard",
    "AuditSealer",
    "AuditTrail",
    "BedrockAccess",
    "Budgets",
    "ClassNamespace",
    "DevicePluginConfigs",
    "EksCluster",
    "EksNodeGroup",
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
    "SiteLink",
    "TaskExecution",
    "TaskIdentity",
    "TrustAnchor",
    "WorkloadIdentity",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'components' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)
