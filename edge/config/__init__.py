"""The configuration file of the edge: its models, and how it is loaded.

Names are loaded at first use, so that a program imports only the models that it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.classes import DataClass
    from edge.config.audit import AuditSettings, Content
    from edge.config.base import (
        CLOUD_DOMAINS,
        ConfigError,
        EnvironmentFault,
        File,
        Limits,
        Listen,
        MutualListen,
        Name,
        Strict,
    )
    from edge.config.chat import ChatConfig
    from edge.config.confidence import Confidence
    from edge.config.detector import DetectorConfig
    from edge.config.gateway import GatewayConfig, UpstreamTls
    from edge.config.loader import LoaderConfig
    from edge.config.loading import Config, check, load, problems, read_yaml
    from edge.config.model_probes import ModelProbes
    from edge.config.notifier import NotifierConfig
    from edge.config.review import HeldKeys, ReviewRule, Reviews, ReviewsConfig
    from edge.config.routes import Place, Route
    from edge.config.screening import Guard, GuardModel, Screening
    from edge.config.sealer import SealerConfig, WriteOnce
    from edge.config.sidecar import SidecarConfig
    from edge.config.translator import BedrockModel, Guardrail, Outbound, SageMakerModel, TranslatorConfig

_WHERE = {
    "AuditSettings": "edge.config.audit",
    "BedrockModel": "edge.config.translator",
    "CLOUD_DOMAINS": "edge.config.base",
    "ChatConfig": "edge.config.chat",
    "Confidence": "edge.config.confidence",
    "Config": "edge.config.loading",
    "ConfigError": "edge.config.base",
    "Content": "edge.config.audit",
    "DataClass": "edge.classes",
    "DetectorConfig": "edge.config.detector",
    "EnvironmentFault": "edge.config.base",
    "File": "edge.config.base",
    "GatewayConfig": "edge.config.gateway",
    "Guard": "edge.config.screening",
    "GuardModel": "edge.config.screening",
    "Guardrail": "edge.config.translator",
    "HeldKeys": "edge.config.review",
    "Limits": "edge.config.base",
    "Listen": "edge.config.base",
    "LoaderConfig": "edge.config.loader",
    "ModelProbes": "edge.config.model_probes",
    "MutualListen": "edge.config.base",
    "Name": "edge.config.base",
    "NotifierConfig": "edge.config.notifier",
    "Outbound": "edge.config.translator",
    "Place": "edge.config.routes",
    "ReviewRule": "edge.config.review",
    "Reviews": "edge.config.review",
    "ReviewsConfig": "edge.config.review",
    "Route": "edge.config.routes",
    "SageMakerModel": "edge.config.translator",
    "Screening": "edge.config.screening",
    "SealerConfig": "edge.config.sealer",
    "SidecarConfig": "edge.config.sidecar",
    "Strict": "edge.config.base",
    "TranslatorConfig": "edge.config.translator",
    "UpstreamTls": "edge.config.gateway",
    "WriteOnce": "edge.config.sealer",
    "check": "edge.config.loading",
    "load": "edge.config.loading",
    "problems": "edge.config.loading",
    "read_yaml": "edge.config.loading",
}

__all__ = [
    "CLOUD_DOMAINS",
    "AuditSettings",
    "BedrockModel",
    "ChatConfig",
    "Confidence",
    "Config",
    "ConfigError",
    "Content",
    "DataClass",
    "DetectorConfig",
    "EnvironmentFault",
    "File",
    "GatewayConfig",
    "Guard",
    "GuardModel",
    "Guardrail",
    "HeldKeys",
    "Limits",
    "Listen",
    "LoaderConfig",
    "ModelProbes",
    "MutualListen",
    "Name",
    "NotifierConfig",
    "Outbound",
    "Place",
    "ReviewRule",
    "Reviews",
    "ReviewsConfig",
    "Route",
    "SageMakerModel",
    "Screening",
    "SealerConfig",
    "SidecarConfig",
    "Strict",
    "TranslatorConfig",
    "UpstreamTls",
    "WriteOnce",
    "check",
    "load",
    "problems",
    "read_yaml",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'edge.config' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)
