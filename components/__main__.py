"""Hosts the single-site components for programs in any language: `pulumi package add <repo>/components`."""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
# The root in place of this folder: `components.x` is one module, not `x` too, and nothing here can stand
# in the way of Python's own modules.
sys.path[:] = [str(_HERE.parent), *(entry for entry in sys.path if Path(entry).resolve() != _HERE)]

from pulumi.provider.experimental import component_provider_host  # noqa: E402

from components import (  # noqa: E402
    AdmissionGuard,
    AuditTrail,
    BedrockAccess,
    Budgets,
    ClassNamespace,
    GpuPool,
    InferenceGateway,
    InvocationLogging,
    ModelServer,
    Network,
    PrivateEndpoints,
    SiteLink,
    TrustAnchor,
    WorkloadIdentity,
)

HOSTED = [
    AdmissionGuard,
    AuditTrail,
    BedrockAccess,
    Budgets,
    ClassNamespace,
    GpuPool,
    InferenceGateway,
    InvocationLogging,
    ModelServer,
    Network,
    PrivateEndpoints,
    SiteLink,
    TrustAnchor,
    WorkloadIdentity,
]

if __name__ == "__main__":
    component_provider_host(HOSTED, name="isthmus", version="0.1.0")
