"""Actions of AWS APIs that identities are granted."""

from __future__ import annotations

INVOKE = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]

CALLS = ["sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream"]
"""Whole answers, and answers as they come."""
