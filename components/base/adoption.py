"""Imports existing resources into a platform instead of creating them."""

import pulumi

from components.base.stack_scope import WHOLE_PLATFORM, Scope
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.errors import InputError
from isthmus.core.validation_errors import did_you_mean

NAMES = {
    "aws:s3/bucket:Bucket": ("bucket", "bucket_prefix"),
    "aws:cloudwatch/logGroup:LogGroup": ("name", "name_prefix"),
}
"""Resource type → the property that holds the import id as a name, and its auto-naming prefix property."""


class Adopting:
    """Applies the platform's imports as a transformation of all of its resources."""

    def __init__(self, platform: Platform, scope: Scope = WHOLE_PLATFORM) -> None:
        self._layer = scope.layer
        self._imports = dict(platform.imports)
        self._seen: set[str] = set()

    def apply(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        """Import a listed resource by its id and keep its current name. The engine imports it once, and fails if
        the existing resource differs from the planned one.
        """
        name = f"{args.type_.rsplit(':', 1)[-1]} {args.name}"
        self._seen.add(name)
        if name not in self._imports:
            return None
        options = pulumi.ResourceOptions(import_=self._imports[name])
        props = dict(args.props)
        if args.type_ in NAMES:
            name_property, prefix = NAMES[args.type_]
            props |= {name_property: self._imports[name], prefix: None}
        return pulumi.ResourceTransformationResult(props, pulumi.ResourceOptions.merge(args.opts, options))

    def check(self) -> None:
        """Raise `InputError` for an import that matches no resource. Call it after all resources are created.

        Another layer may create the resource: the whole estate is checked by
        `isthmus.engine.run.preflight`, and a layer's own run logs what it skips.
        """
        for name in self._imports:
            if name not in self._seen and self._layer != "all":
                pulumi.log.info(f"imports: {name} is left to another layer of the estate")
            elif name not in self._seen:
                hint = did_you_mean(name, self._seen)
                raise InputError(
                    f"the platform has no resource `{name}` to import",
                    where=f"imports.{name}",
                    fix=f"{hint} Use a resource name from the preview or from graph.json of `isthmus render`".lstrip(),
                )
