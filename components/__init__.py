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
    from components.aws.trust_anchor import TrustAnchor
    from components.aws.workload_identity import WorkloadIdentity
    from components.gateway.inference_gateway import InferenceGateway
    from components.governance.audit_trail import AuditTrail
    from components.governance.budgets import Budgets
    from components.link.site_link import SiteLink
    from components.llm_platform import LlmPlatform
    from components.onprem.admission import AdmissionGuard
    from components.onprem.gpu_pool import GpuPool
    from components.onprem.mig import MigLayouts
    from components.onprem.model_server import ModelServer
    from components.onprem.namespace import ClassNamespace

_WHERE = {
    "AdmissionGuard": "components.onprem.admission",
    "AuditTrail": "components.governance.audit_trail",
    "BedrockAccess": "components.aws.bedrock_access",
    "Budgets": "components.governance.budgets",
    "ClassNamespace": "components.onprem.namespace",
    "EksCluster": "components.aws.eks_cluster",
    "EksNodeGroup": "components.aws.eks_node_group",
    "GpuPool": "components.onprem.gpu_pool",
    "InferenceGateway": "components.gateway.inference_gateway",
    "InvocationLogging": "components.aws.invocation_logging",
    "LlmPlatform": "components.llm_platform",
    "MigLayouts": "components.onprem.mig",
    "ModelServer": "components.onprem.model_server",
    "Network": "components.aws.network",
    "PrivateEndpoints": "components.aws.private_endpoints",
    "SiteLink": "components.link.site_link",
    "TrustAnchor": "components.aws.trust_anchor",
    "WorkloadIdentity": "components.aws.workload_identity",
}

__all__ = [
    "AdmissionGuard",
    "AuditTrail",
    "BedrockAccess",
    "Budgets",
    "ClassNamespace",
    "EksCluster",
    "EksNodeGroup",
    "GpuPool",
    "InferenceGateway",
    "InvocationLogging",
    "LlmPlatform",
    "MigLayouts",
    "ModelServer",
    "Network",
    "PrivateEndpoints",
    "SiteLink",
    "TrustAnchor",
    "WorkloadIdentity",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'components' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)
