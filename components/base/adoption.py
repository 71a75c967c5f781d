"""What exists already and is taken over by a platform in place of being made."""

import pulumi

from components.base.stack_scope import WHOLE, Scope
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.errors import InputError
from isthmus.core.validation_errors import did_you_mean

NAMES = {
    "aws:s3/bucket:Bucket": ("bucket", "bucket_prefix"),
    "aws:cloudwatch/logGroup:LogGroup": ("name", "name_prefix"),
}
"""By type: the property with the name that is an import's id, and the one from which it would be made up."""


class Adopting:
    """The platform's imports, by a transformation of everything below it."""

    def __init__(self, platform: Platform, scope: Scope = WHOLE) -> None:
        self._layer = scope.layer
        self._wanted = dict(platform.imports)
        self._seen: set[str] = set()

    def apply(self, args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        """Has a resource that is named imported by its id, under the name that it has. The engine does so once, and
        refuses where what is there differs from what would be made."""
        name = f"{args.type_.rsplit(':', 1)[-1]} {args.name}"
        self._seen.add(name)
        if name not in self._wanted:
            return None
        more = pulumi.ResourceOptions(import_=self._wanted[name])
        props = dict(args.props)
        if args.type_ in NAMES:
            own, prefix = NAMES[args.type_]
            props |= {own: self._wanted[name], prefix: None}
        return pulumi.ResourceTransformationResult(props, pulumi.ResourceOptions.merge(args.opts, more))

    def check(self) -> None:
        """Raise `InputError` for an import of what the platform does not make; call when all is made.

        What a layer does not make another one may: that is held to the whole estate
        (`isthmus.engine.run.preflight`), and a layer's own run says what it leaves.
        """
        for name in self._wanted:
            if name not in self._seen and self._layer != "all":
                pulumi.log.info(f"imports: {name} is left to another layer of the estate")
            elif name not in self._seen:
                hint = did_you_mean(name, self._seen)
                raise InputError(
                    f"the platform makes no `{name}`",
                    where=f"imports.{name}",
                    fix=f"{hint} Names stand in a preview, and in graph.json of `isthmus render`".lstrip(),
                )
