"""The configuration file of the edge: its models, and how it is loaded."""

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
from edge.config.confidence import Confidence
from edge.config.detector import DetectorConfig
from edge.config.gateway import GatewayConfig, UpstreamTls
from edge.config.loading import Config, check, load, problems, read_yaml
from edge.config.review import HeldKeys, ReviewRule, Reviews, ReviewsConfig
from edge.config.routes import Place, Route
from edge.config.screening import Guard, GuardModel, Screening
from edge.config.sealer import SealerConfig, WriteOnce
from edge.config.sidecar import SidecarConfig
from edge.config.translator import BedrockModel, Guardrail, Outbound, SageMakerModel, TranslatorConfig

__all__ = [
    "CLOUD_DOMAINS",
    "AuditSettings",
    "BedrockModel",
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
    "MutualListen",
    "Name",
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
