"""Decides what survives the destruction of a platform: records, their keys, and claims on model weights.

A component marks resources that hold records as retained. The platform decides whether that applies, and whether
the engine refuses to delete or replace them. This is a transformation, so that the records of all components are
treated alike.
"""

from typing import Any

import pulumi

from components.base.stack_scope import WHOLE_PLATFORM, Scope
from components.cluster.objects import class_namespace
from isthmus.contracts.platform.lookups.serving import claim_of
from isthmus.contracts.platform.model.platform import Platform

RECORD_HOLDER_TYPES = (
    "aws:s3/bucket:Bucket",
    "aws:kms/key:Key",
    "aws:cloudwatch/logGroup:LogGroup",
    "aws:efs/fileSystem:FileSystem",
)
"""Types of resources that hold records or their keys. With `durable`, the engine refuses to delete or replace them."""
DISPOSABLE_TYPE_PREFIXES = ("aws:s3/", "aws:kms/key:", "aws:cloudwatch/logGroup:", "aws:efs/fileSystem")
"""Prefixes of types that are deleted with a disposable stack: those above, and settings of a bucket or a share."""


class RetentionRules:
    """Sets protection and retention of a platform's resources, as a transformation."""

    def __init__(self, name: str, platform: Platform, scope: Scope = WHOLE_PLATFORM) -> None:
        """`name`: the platform's resource name, the prefix of its components' names. `scope`: what the stack builds
        of it.
        """
        self._durable = platform.lifecycle == "durable"
        holders = [
            endpoint
            for endpoint in platform.endpoints
            if claim_of(endpoint) and endpoint.weights and endpoint.weights.volume
        ]
        claims = [
            (endpoint.site, endpoint.class_, claim)
            for endpoint in holders
            if (claim := claim_of(endpoint)) and scope.runs(endpoint)
        ]
        # Only the platform layer creates namespaces.
        namespaced_endpoints = holders if scope.owns("platform") else []
        namespaces = sorted({(endpoint.site, endpoint.class_) for endpoint in namespaced_endpoints})
        self._models = {f"{name}-{site}-{sensitivity}-{claim}" for site, sensitivity, claim in claims} | {
            # Deleting a namespace also deletes its claims, even protected ones.
            f"{name}-{site}-{sensitivity}-namespace"
            for site, sensitivity in namespaces
        }
        self._model_descriptions = [
            f"Namespace {class_namespace(sensitivity)} at {site}" for site, sensitivity in namespaces
        ] + [
            f"PersistentVolumeClaim {class_namespace(sensitivity)}/{claim} at {site}"
            for site, sensitivity, claim in sorted(set(claims))
        ]

    def apply(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        """Apply the rules to a resource below the platform."""
        retained = bool(args.opts.retain_on_delete)
        if self._durable and self._holds_models(args):
            options = pulumi.ResourceOptions(protect=True, retain_on_delete=True)
        elif self._durable and retained and args.type_ in RECORD_HOLDER_TYPES:
            options = pulumi.ResourceOptions(protect=True)
        elif not self._durable and retained and args.type_.startswith(DISPOSABLE_TYPE_PREFIXES):
            options = pulumi.ResourceOptions(retain_on_delete=False)
        else:
            return None
        return pulumi.ResourceTransformationResult(
            args.props, pulumi.ResourceOptions.merge(args.opts, options)
        )

    def _holds_models(self, args: pulumi.ResourceTransformationArgs) -> bool:
        kinds = ("kubernetes:core/v1:PersistentVolumeClaim", "kubernetes:core/v1:Namespace")
        return args.type_ in kinds and args.name in self._models

    def retained(self, records: list[Any], shared: list[Any]) -> pulumi.Output[list[str]]:
        """What a destroy retains: `records` (outputs, lists) and models if the platform is durable, and always
        `shared`, which the whole account uses or pays for.
        """
        lists = [*records, *shared] if self._durable else shared
        models = self._model_descriptions if self._durable else []
        return pulumi.Output.all(*lists).apply(
            lambda name_lists: [name for names in name_lists for name in names] + models
        )
