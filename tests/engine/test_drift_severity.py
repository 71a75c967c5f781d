"""Severity of a drift, and changes that controllers are expected to make."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.reports.preview import PropertyChange
from isthmus.engine.drift import severity as drift_severity
from isthmus.engine.drift.severity import is_controller_written, reason_for_scaling, severity_of

DEPLOYMENT = "kubernetes:apps/v1:Deployment"


@pytest.mark.parametrize(
    ("message", "type_", "path", "expected"),
    [
        ("gone", "aws:s3/bucket:Bucket", "", "critical"),
        ("gone", "kubernetes:networking.k8s.io/v1:NetworkPolicy", "", "high"),
        ("gone", DEPLOYMENT, "", "high"),
        ("gone", "kubernetes:core/v1:ConfigMap", "", "medium"),
        ("foreign", "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding", "", "high"),
        ("foreign", "kubernetes:core/v1:Secret", "", "medium"),
        ("foreign", "aws:ec2/internetGateway:InternetGateway", "", "high"),
        ("foreign", "aws:iam/rolePolicy:RolePolicy", "", "high"),
        ("foreign", "aws:s3", "", "medium"),
        ("changed", "kubernetes:networking.k8s.io/v1:NetworkPolicy", "spec.egress[1]", "high"),
        ("changed", "aws:s3/bucketPolicy:BucketPolicy", "policy.Statement[0].Effect", "high"),
        ("changed", DEPLOYMENT, "spec.replicas", "medium"),
        ("changed", DEPLOYMENT, 'spec.template.spec.containers["vllm"].args[3]', "high"),
        ("changed", DEPLOYMENT, "metadata.labels.team", "low"),
        (
            "changed",
            "kubernetes:core/v1:Namespace",
            'metadata.labels["pod-security.kubernetes.io/enforce"]',
            "high",
        ),
        ("added", DEPLOYMENT, 'spec.template.spec.containers["side"]', "high"),
        ("added", DEPLOYMENT, "spec.template.spec.tolerations[0]", "medium"),
        ("added", "kubernetes:core/v1:NodePatch", "metadata.labels.x", "low"),
    ],
)
def test_the_severity_of_a_drift_follows_from_what_it_opens_or_loses(
    message: Any, type_: str, path: str, expected: str
):
    property_changes = [PropertyChange(path=path)] if path else []
    assert severity_of(message, type_, property_changes) == expected


def test_the_most_severe_property_decides_the_severity():
    property_changes = [
        PropertyChange(path="metadata.labels.x"),
        PropertyChange(path="spec.template.spec.hostNetwork"),
    ]
    assert severity_of("changed", DEPLOYMENT, property_changes) == "high"


SCALED = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "m", "namespace": "n"}}
KEDA = {
    "kind": "ScaledObject",
    "metadata": {"name": "m", "namespace": "n"},
    "spec": {
        "scaleTargetRef": {"kind": "Deployment", "name": "m"},
        "minReplicaCount": 1,
        "maxReplicaCount": 4,
    },
}


def test_replicas_within_the_bounds_of_their_scaler_are_no_drift():
    assert "from 1 to 4" in reason_for_scaling(DEPLOYMENT, SCALED, "spec.replicas", 3, [KEDA])


@pytest.mark.parametrize(
    ("path", "new", "scaler"),
    [
        ("spec.replicas", 5, KEDA),
        ("spec.replicas", 0, KEDA),
        ("spec.replicas", None, KEDA),
        ("spec.paused", True, KEDA),
        ("spec.replicas", 3, {**KEDA, "metadata": {"name": "m", "namespace": "other"}}),
        ("spec.replicas", 3, {**KEDA, "spec": {**KEDA["spec"], "scaleTargetRef": {"name": "other"}}}),
    ],
)
def test_replicas_outside_the_bounds_of_our_scaler_are_drift(path: str, new: Any, scaler: Any):
    assert reason_for_scaling(DEPLOYMENT, SCALED, path, new, [scaler]) == ""
    assert reason_for_scaling(DEPLOYMENT, SCALED, path, new, []) == ""


def test_fields_that_controllers_write_are_no_drift_and_others_are():
    claim = "kubernetes:core/v1:PersistentVolumeClaim"
    assert is_controller_written(DEPLOYMENT, 'metadata.annotations["deployment.kubernetes.io/revision"]')
    assert is_controller_written(claim, "spec.volumeName")
    assert is_controller_written(claim, 'metadata.finalizers["kubernetes.io/pvc-protection"]')
    assert not is_controller_written(DEPLOYMENT, "spec.volumeName")
    assert not is_controller_written(
        "x:ScaledObject", 'metadata.annotations["autoscaling.keda.sh/paused-replicas"]'
    )
    assert not is_controller_written(DEPLOYMENT, 'metadata.labels["isthmus.dev/class"]')
    assert drift_severity.severity_of("added", DEPLOYMENT) == "medium"
