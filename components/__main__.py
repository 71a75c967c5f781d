"""Hosts the single-site components for programs in any language: `pulumi package add <repo>/components`."""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
# The root folder replaces this folder on the path. So `components.x` is one module, not also `x`, and no module
# here can hide one of Python's own.
sys.path[:] = [str(_HERE.parent), *(entry for entry in sys.path if Path(entry).resolve() != _HERE)]

from components import (  # noqa: E402
    AdmissionGuard,
    AuditSealer,
    AuditTrail,
    BedrockAccess,
    Budgets,
    Chat,
    ClassNamespace,
    DevicePluginConfigs,
    EksCluster,
    EksNodeGroup,
    Evaluator,
    FargateGateway,
    GpuOperator,
    GpuPool,
    InferenceGateway,
    InvocationLogging,
    MigLayouts,
    ModelServer,
    Network,
    PrivateEndpoints,
    RecordsIdentity,
    RecordsShare,
    Reviews,
    SageMakerAccess,
    SageMakerEndpoint,
    SealingEndpoint,
    ServingAlarms,
    SiteLink,
    TaskExecution,
    TaskIdentity,
    TrustAnchor,
    UsageLoader,
    WorkloadIdentity,
)

HOSTED = [
    AdmissionGuard,
    AuditSealer,
    AuditTrail,
    BedrockAccess,
    Budgets,
    Chat,
    ClassNamespace,
    DevicePluginConfigs,
    EksCluster,
    EksNodeGroup,
    Evaluator,
    FargateGateway,
    GpuOperator,
    GpuPool,
    InferenceGateway,
    InvocationLogging,
    MigLayouts,
    ModelServer,
    Network,
    PrivateEndpoints,
    RecordsIdentity,
    RecordsShare,
    Reviews,
    SageMakerAccess,
    SageMakerEndpoint,
    SealingEndpoint,
    ServingAlarms,
    SiteLink,
    TaskExecution,
    TaskIdentity,
    TrustAnchor,
    UsageLoader,
    WorkloadIdentity,
]

if __name__ == "__main__":
    from components.base.hosting import serve

    serve(HOSTED, "isthmus", "0.1.0", sys.argv[1:])
