"""What outlives a platform: records, the keys that open them, and claims on models' weights.

A component marks what holds records as retained; whether that holds, and whether the engine refuses to delete or
replace it, is the platform's to say. By a transformation, so that every component's records are held alike.
"""

from typing import Any

import pulumi

from components.base.stack_scope import WHOLE, Scope
from components.cluster.objects import class_namespace
from isthmus.contracts.platform.lookups.serving import claim_of
from isthmus.contracts.platform.model.platform import Platform

HOLDERS = (
    "aws:s3/bucket:Bucket",
    "aws:kms/key:Key",
    "aws:cloudwatch/logGroup:LogGroup",
    "aws:efs/fileSystem:FileSystem",
)
"""Types of things that hold records or open them; `durable` has the engine refuse to delete or replace them."""
RECORDS = ("aws:s3/", "aws:kms/key:", "aws:cloudwatch/logGroup:", "aws:efs/fileSystem")
"""Beginnings of the types that go with a disposable stack: the above, and the settings of a bucket or a share."""


class Keeping:
    """How the parts of one platform are kept."""

    def __init__(self, name: str, platform: Platform, scope: Scope = WHOLE) -> None:
        """`name`: the platform's resource name, with which the names of its parts begin; `scope`: what the stack
        builds of it."""
        self._durable = platform.lifecycle == "durable"
        holders = [
            each for each in platform.endpoints if claim_of(each) and each.weights and each.weights.volume
        ]
        claims = [
            (each.site, each.class_, claim)
            for each in holders
            if (claim := claim_of(each)) and scope.runs(each)
        ]
        # The platform's layer has the namespaces; a claim that comes and goes there is no word of its own.
        owned = holders if scope.owns("platform") else []
        spaces = sorted({(each.site, each.class_) for each in owned})
        self._models = {f"{name}-{site}-{held}-{claim}" for site, held, claim in claims} | {
            # A claim goes with its namespace, whatever the engine was told of it.
            f"{name}-{site}-{held}-namespace"
            for site, held in spaces
        }
        self._named = [f"Namespace {class_namespace(held)} at {site}" for site, held in spaces] + [
            f"PersistentVolumeClaim {class_namespace(held)}/{claim} at {site}"
            for site, held, claim in sorted(set(claims))
        ]

    def apply(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        """The transformation of everything below the platform."""
        retained = bool(args.opts.retain_on_delete)
        if self._durable and self._holds_models(args):
            more = pulumi.ResourceOptions(protect=True, retain_on_delete=True)
        elif self._durable and retained and args.type_ in HOLDERS:
            more = pulumi.ResourceOptions(protect=True)
        elif not self._durable and retained and args.type_.startswith(RECORDS):
            more = pulumi.ResourceOptions(retain_on_delete=False)
        else:
            return None
        return pulumi.ResourceTransformationResult(args.props, pulumi.ResourceOptions.merge(args.opts, more))

    def _holds_models(self, args: pulumi.ResourceTransformationArgs) -> bool:
        kinds = ("kubernetes:core/v1:PersistentVolumeClaim", "kubernetes:core/v1:Namespace")
        return args.type_ in kinds and args.name in self._models

    def retained(self, records: list[Any], shared: list[Any]) -> pulumi.Output[list[str]]:
        """What a destroy leaves: `records` (outputs, lists) and models where the platform is durable, and
        `shared` always: what the whole account uses or pays for."""
        lists = [*records, *shared] if self._durable else shared
        models = self._named if self._durable else []
        return pulumi.Output.all(*lists).apply(lambda found: [one for many in found for one in many] + models)
