"""The configuration file: its shape, and its errors as one paragraph each."""

from edge.config.base import (
    CLOUD_DOMAINS,
    ConfigError,
    DataClass,
    EnvironmentFault,
    File,
    Limits,
    Listen,
    MutualListen,
    Name,
    Strict,
)
from edge.config.gateway import GatewayConfig, UpstreamTls
from edge.config.reading import Config, check, load, read_yaml
from edge.config.sidecar import SidecarConfig
from edge.config.translator import BedrockModel, Guardrail, Outbound, SageMakerModel, TranslatorConfig
from edge.config.ways import Place, Route

__all__ = [
    "CLOUD_DOMAINS",
    "BedrockModel",
    "Config",
    "ConfigError",
    "DataClass",
    "EnvironmentFault",
    "File",
    "GatewayConfig",
    "Guardrail",
    "Limits",
    "Listen",
    "MutualListen",
    "Name",
    "Outbound",
    "Place",
    "Route",
    "SageMakerModel",
    "SidecarConfig",
    "Strict",
    "TranslatorConfig",
    "UpstreamTls",
    "check",
    "load",
    "read_yaml",
]
