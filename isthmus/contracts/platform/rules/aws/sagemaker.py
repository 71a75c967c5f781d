"""Rules for endpoints on Amazon SageMaker. They do not call AWS."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from isthmus.contracts.platform.lookups.aws import network_for
from isthmus.contracts.platform.model.aws.sagemaker import MAX_START_S, S3_PREFIX, has_disks
from isthmus.contracts.reference import handling
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.aws.sagemaker import SageMaker
    from isthmus.contracts.platform.model.platform import Endpoint, Platform

_S3 = re.compile(S3_PREFIX)
_FIELDS_OF_OTHER_TARGETS = ("pool", "mig_profile", "certificate_secret", "inference_profile")
"""Fields of other targets that SageMaker does not support."""


def _sagemaker_endpoints(platform: Platform) -> Iterator[tuple[int, Endpoint, SageMaker]]:
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.target == "sagemaker" and endpoint.sagemaker is not None:
            yield index, endpoint, endpoint.sagemaker


def sagemaker_settings_are_complete(platform: Platform) -> None:
    """SageMaker endpoints have `sagemaker` settings and weights in S3; other endpoints have no such settings."""
    for index, endpoint in enumerate(platform.endpoints):
        path = ("endpoints", index)
        if endpoint.target != "sagemaker":
            if endpoint.sagemaker is not None:
                message = f"endpoint {endpoint.id} runs on {endpoint.target}, but has `sagemaker` settings"
                raise FieldError(
                    message, *path, "sagemaker", fix="Remove `sagemaker`, or set `target: sagemaker`"
                )
            continue
        if endpoint.sagemaker is None:
            message = f"endpoint {endpoint.id} has no `sagemaker` settings"
            raise FieldError(message, *path, "sagemaker", fix="Add `sagemaker: {instance_type: ml.…}`")
        if endpoint.weights is None or not _S3.fullmatch(endpoint.weights.uri):
            raise FieldError(
                f"endpoint {endpoint.id} has no weights in S3",
                *(*path, *(("weights",) if endpoint.weights is None else ("weights", "uri"))),
                fix="Set `weights: {uri: s3://BUCKET/PREFIX/, digest: sha256:…}`, with the slash at the end",
            )
        _check_fields(platform, index, endpoint)


def _check_fields(platform: Platform, index: int, endpoint: Endpoint) -> None:
    path = ("endpoints", index)
    for key in _FIELDS_OF_OTHER_TARGETS:
        if getattr(endpoint, key) is not None:
            raise FieldError(
                f"endpoint {endpoint.id} runs on SageMaker, which does not support `{key}`",
                *path,
                key,
                fix=f"Remove `{key}`",
            )
    if endpoint.nodes_per_replica > 1:
        message = (
            f"nodes_per_replica of {endpoint.id} is {endpoint.nodes_per_replica}, but SageMaker runs a replica on "
            "one instance"
        )
        raise FieldError(
            message,
            *path,
            "nodes_per_replica",
            fix="Set nodes_per_replica to 1, and use a larger instance type",
        )
    if endpoint.adapters:
        message = f"endpoint {endpoint.id} has adapters, which Isthmus does not support on SageMaker"
        raise FieldError(
            message, *path, "adapters", fix="Serve them on-prem, or merge them into weights of their own"
        )
    if endpoint.surge:
        raise FieldError(
            f"endpoint {endpoint.id} runs on SageMaker, which does not support `surge`: it always adds instances",
            *path,
            "surge",
            fix="Remove `surge`",
        )
    site = platform.site(endpoint.site)
    if endpoint.region not in (None, site.region):
        message = (
            f"endpoint {endpoint.id} is in {endpoint.region}, but its site {site.name} is in {site.region}"
        )
        raise FieldError(message, *path, "region", fix=f"Set `region: {site.region}`")
    if endpoint.load_timeout_s > MAX_START_S:
        message = f"load_timeout_s is {endpoint.load_timeout_s}, but SageMaker waits at most {MAX_START_S} s"
        raise FieldError(message, *path, "load_timeout_s", fix=f"Set load_timeout_s to {MAX_START_S} or less")


def images_are_in_the_region(platform: Platform) -> None:
    """SageMaker pulls the serving container from Amazon ECR of its own region."""
    for index, endpoint, settings in _sagemaker_endpoints(platform):
        region = platform.site(endpoint.site).region
        path = ("endpoints", index, "sagemaker", "shadow", "image")
        images: list[tuple[str | None, tuple[str | int, ...]]] = [
            (platform.images.sagemaker, ("images", "sagemaker"))
        ]
        if settings.shadow is not None and settings.shadow.image is not None:
            images.append((settings.shadow.image, path))
        for image, where in images:
            if image is None:
                message = f"`images` has no sagemaker, which endpoint {endpoint.id} needs"
                fix = (
                    "Set it to a vLLM image with SageMaker's entry point, in Amazon ECR by digest: "
                    "ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:…"
                )
                raise FieldError(message, *where, fix=fix)
            if image.split(".")[3] != region:
                message = f"the image `{image}` is not in {region}, where {endpoint.id} runs"
                raise FieldError(
                    message, *where, fix=f"Replicate the image to Amazon ECR in {region}, and set that one"
                )


def losses_are_survived(platform: Platform) -> None:
    """Endpoints that must survive a loss always have at least two instances."""
    for index, endpoint, settings in _sagemaker_endpoints(platform):
        path = ("endpoints", index)
        if endpoint.survive != "none" and endpoint.replicas < 2:
            message = (
                f"endpoint {endpoint.id} must survive the loss of a {endpoint.survive}, but has one instance"
            )
            raise FieldError(
                message,
                *path,
                "replicas",
                fix="Set replicas to 2 or more; AWS spreads them over the network's zones",
            )
        scaling = settings.autoscaling
        if scaling is None:
            continue
        where = (*path, "sagemaker", "autoscaling")
        if not scaling.min_instances <= endpoint.replicas <= scaling.max_instances:
            message = (
                f"endpoint {endpoint.id} has {endpoint.replicas} replicas, but autoscaling keeps it between"
            )
            message = f"{message} {scaling.min_instances} and {scaling.max_instances}"
            raise FieldError(
                message,
                *where,
                fix="Set min_instances and max_instances to a range that includes the plan's replicas",
            )
        if endpoint.survive != "none" and scaling.min_instances < 2:
            message = (
                f"endpoint {endpoint.id} must survive the loss of a {endpoint.survive}, but autoscaling may leave "
                "one instance"
            )
            raise FieldError(message, *where, "min_instances", fix="Set min_instances to 2 or more")


def sagemaker_models_have_a_network(platform: Platform) -> None:
    """SageMaker models are in a network that carries their class and has the private endpoints they need."""
    for index, endpoint, _ in _sagemaker_endpoints(platform):
        network = network_for(platform, endpoint.site, endpoint.class_)
        if network is None:
            raise FieldError(
                f"no network at {endpoint.site} carries class {endpoint.class_}, which endpoint {endpoint.id} needs",
                *("endpoints", index, "site"),
                fix=f"Add class {endpoint.class_} to one of `networks` at {endpoint.site}",
                refused=True,
            )
        # An existing network may have an S3 endpoint that Isthmus does not manage.
        needed = ("sagemaker.runtime", "s3") if network.mode == "manage" else ("sagemaker.runtime",)
        missing = [service for service in needed if service not in network.services]
        if missing:
            raise FieldError(
                f"network {network.name} has no private endpoint for {' and '.join(missing)}, which endpoint "
                f"{endpoint.id} needs",
                *("networks", platform.networks.index(network), "services"),
                fix="Add it to `services` of the network",
                refused=True,
            )


def identities_call_their_own_site(platform: Platform) -> None:
    """Identities call SageMaker endpoints of their own site only, and have a guardrail only if they call Bedrock."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, identity in enumerate(platform.identities):
        endpoints_called = [endpoints[name] for name in identity.endpoints]
        for number, endpoint in enumerate(endpoints_called):
            if endpoint.target == "sagemaker" and endpoint.site != identity.site:
                message = f"identity {identity.name} is at {identity.site}, but its SageMaker endpoint {endpoint.id}"
                fix = f"Add an identity for {endpoint.site}"
                raise FieldError(
                    f"{message} is at {endpoint.site}", *("identities", index, "endpoints", number), fix=fix
                )
        if (
            identity.guardrail is not None
            and endpoints_called
            and not any(endpoint.target == "bedrock" for endpoint in endpoints_called)
        ):
            message = f"identity {identity.name} has a Bedrock guardrail but calls no Bedrock model"
            raise FieldError(
                message, *("identities", index, "guardrail"), fix="Remove `guardrail`", refused=True
            )


def stored_data_has_own_keys(platform: Platform) -> None:
    """Stored data is encrypted with an own key if the class demands it or content is captured."""
    for index, endpoint, settings in _sagemaker_endpoints(platform):
        path = ("endpoints", index, "sagemaker")
        needs_own_keys = handling.handling_of(endpoint.class_).own_keys
        if settings.key.mode == "off" and (needs_own_keys or settings.capture is not None):
            whose = f"{endpoint.class_} work" if needs_own_keys else "captured content"
            message = f"endpoint {endpoint.id} would store {whose} without a key of the organisation"
            raise FieldError(
                message,
                *path,
                "key",
                "mode",
                fix="Set `mode` to manage, or to existing with `arn`",
                refused=True,
            )
        if (settings.key.mode == "existing") != (settings.key.arn is not None):
            message = (
                "key.mode is existing, but `arn` is missing"
                if settings.key.arn is None
                else f"key.arn is set, but key.mode is {settings.key.mode}"
            )
            raise FieldError(
                f"endpoint {endpoint.id}: {message}",
                *path,
                "key",
                "arn",
                fix="Set both `mode: existing` and `arn`, or neither",
            )
        shadow_type = settings.shadow.instance_type if settings.shadow is not None else None
        disks = [kind for kind in (settings.instance_type, shadow_type) if kind and has_disks(kind)]
        if settings.volume_gib is not None and disks:
            message = f"instance type {disks[0]} has local disks, so AWS does not accept volume_gib"
            raise FieldError(message, *path, "volume_gib", fix="Remove volume_gib")


def capture_is_allowed(platform: Platform) -> None:
    """Capture is only for classes that may keep content in AWS, and for no longer than they allow."""
    for index, endpoint, settings in _sagemaker_endpoints(platform):
        if settings.capture is None:
            continue
        path, class_rules = (
            ("endpoints", index, "sagemaker", "capture"),
            handling.handling_of(endpoint.class_),
        )
        if class_rules.content_days_max == 0 or class_rules.content_on_prem:
            message = (
                f"capture would keep prompts and answers of {endpoint.class_} work in AWS, against its rules"
            )
            raise FieldError(
                f"endpoint {endpoint.id}: {message}", *path, fix="Remove `capture`", refused=True
            )
        if class_rules.content_days_max is not None and settings.capture.days > class_rules.content_days_max:
            message = f"capture.days is {settings.capture.days}, but {endpoint.class_} content may be kept"
            message = f"endpoint {endpoint.id}: {message} at most {class_rules.content_days_max} days"
            raise FieldError(
                message,
                *path,
                "days",
                fix=f"Set days to {class_rules.content_days_max} or less",
                refused=True,
            )


def rollback_alarms_have_time(platform: Platform) -> None:
    """Each rollout step is watched long enough for the alarms to trigger a rollback."""
    for index, endpoint, settings in _sagemaker_endpoints(platform):
        watched = settings.rollout.keep_old_s
        key = "keep_old_s"
        if settings.rollout.kind != "all-at-once":
            watched, key = settings.rollout.wait_s, "wait_s"
        needed = 60 * (settings.rollback.minutes + 1)
        if watched < needed:
            raise FieldError(
                f"endpoint {endpoint.id}: {key} is {watched} s, but its alarms need {needed} s "
                f"({settings.rollback.minutes} minutes in a row and one more)",
                *("endpoints", index, "sagemaker", "rollout", key),
                fix=f"Set {key} to {needed} or more",
            )


CHECKS: tuple[Callable[[Platform], None], ...] = (
    images_are_in_the_region,
    losses_are_survived,
    sagemaker_models_have_a_network,
    identities_call_their_own_site,
    stored_data_has_own_keys,
    capture_is_allowed,
    rollback_alarms_have_time,
)
