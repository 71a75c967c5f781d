"""Pulumi components of an LLM platform: each works alone; `LlmPlatform` makes the whole of one contract.

Names are loaded when first used, so that a program imports the SDK modules of the components it uses
and no others.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.aws.bedrock_access import BedrockAccess
    from components.gateway.inference_gateway import InferenceGateway
    from components.governance.audit_trail import AuditTrail
    from components.llm_platform import LlmPlatform
    from components.onprem.admission import AdmissionGuard
    from components.onprem.gpu_pool import GpuPool
    from components.onprem.model_server import ModelServer
    from components.onprem.namespace import ClassNamespace

_WHERE = {
    "AdmissionGuard": "components.onprem.admission",
    "AuditTrail": "components.governance.audit_trail",
    "BedrockAccess": "components.aws.bedrock_access",
    "ClassNamespace": "components.onprem.namespace",
    "GpuPool": "components.onprem.gpu_pool",
    "InferenceGateway": "components.gateway.inference_gateway",
    "LlmPlatform": "components.llm_platform",
    "ModelServer": "components.onprem.model_server",
}

__all__ = [
    "AdmissionGuard",
    "AuditTrail",
    "BedrockAccess",
    "ClassNamespace",
    "GpuPool",
    "InferenceGateway",
    "LlmPlatform",
    "ModelServer",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'components' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)
