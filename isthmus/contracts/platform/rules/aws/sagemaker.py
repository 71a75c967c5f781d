"""What must hold of a platform's endpoints on Amazon SageMaker. Rules of `platform_checks`.

Boundaries answer no (exit 1), the rest is wrong input (exit 2). Nothing here asks a cloud.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from isthmus.contracts.platform.lookups.aws import network_for
from isthmus.contracts.platform.model.aws.sagemaker import LONGEST_START_S, S3_PREFIX, has_disks
from isthmus.contracts.reference import handling
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.aws.sagemaker import SageMaker
    from isthmus.contracts.platform.model.platform import Endpoint, Platform

_S3 = re.compile(S3_PREFIX)
_NOT_THERE = ("pool", "mig_profile", "certificate_secret", "inference_profile")
"""What other targets' endpoints say, and this one's cannot."""


def _each(platform: Platform) -> Iterator[tuple[int, Endpoint, SageMaker]]:
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.target == "sagemaker" and endpoint.sagemaker is not None:
            yield index, endpoint, endpoint.sagemaker


def settings_are_whole(platform: Platform) -> None:
    """An endpoint on SageMaker says which machines and which weights; no other endpoint does."""
    for index, endpoint in enumerate(platform.endpoints):
        path = ("endpoints", index)
        if endpoint.target != "sagemaker":
            if endpoint.sagemaker is not None:
                what = f"endpoint {endpoint.id} runs on {endpoint.target} and has settings of SageMaker"
                raise FieldError(what, *path, "sagemaker", fix="Take them out, or say `target: sagemaker`")
            continue
        if endpoint.sagemaker is None:
            what = f"endpoint {endpoint.id} names no machines of SageMaker"
            raise FieldError(what, *path, "sagemaker", fix="Say `sagemaker: {instance_type: ml.…}`")
        if endpoint.weights is None or not _S3.fullmatch(endpoint.weights.uri):
            raise FieldError(
                f"endpoint {endpoint.id} names no weights in S3",
                *(*path, *(("weights",) if endpoint.weights is None else ("weights", "uri"))),
                fix="Say `weights: {uri: s3://BUCKET/PREFIX/, digest: sha256:…}`, with the slash at the end",
            )
        _fits(platform, index, endpoint)


def _fits(platform: Platform, index: int, endpoint: Endpoint) -> None:
    path = ("endpoints", index)
    for key in _NOT_THERE:
        if getattr(endpoint, key) is not None:
            raise FieldError(
                f"endpoint {endpoint.id} on SageMaker has no {key}", *path, key, fix="Leave it out"
            )
    if endpoint.nodes_per_replica > 1:
        what = f"a replica of {endpoint.id} over {endpoint.nodes_per_replica} instances: SageMaker runs it on one"
        raise FieldError(what, *path, "nodes_per_replica", fix="Take a larger instance type")
    if endpoint.adapters:
        what = (
            f"endpoint {endpoint.id} has adapters, and a SageMaker endpoint here serves its base model alone"
        )
        raise FieldError(
            what, *path, "adapters", fix="Serve them on-prem, or merge them into weights of their own"
        )
    if endpoint.surge:
        raise FieldError(f"{endpoint.id}: SageMaker always rolls beside", *path, "surge", fix="Leave it out")
    site = platform.site(endpoint.site)
    if endpoint.region not in (None, site.region):
        what = f"the endpoint is in {endpoint.region}, and its site {site.name} in {site.region}"
        raise FieldError(what, *path, "region")
    if endpoint.load_timeout_s > LONGEST_START_S:
        what = f"load_timeout_s is {endpoint.load_timeout_s}, and SageMaker waits {LONGEST_START_S} s at most"
        raise FieldError(what, *path, "load_timeout_s", fix=f"Say {LONGEST_START_S} or less")


def images_are_in_the_region(platform: Platform) -> None:
    """SageMaker pulls the serving container from Amazon ECR of its own region."""
    for index, endpoint, settings in _each(platform):
        region = platform.site(endpoint.site).region
        path = ("endpoints", index, "sagemaker", "shadow", "image")
        named: list[tuple[str | None, tuple[str | int, ...]]] = [
            (platform.images.sagemaker, ("images", "sagemaker"))
        ]
        if settings.shadow is not None and settings.shadow.image is not None:
            named.append((settings.shadow.image, path))
        for image, where in named:
            if image is None:
                what = f"no image serves {endpoint.id} on SageMaker: images.sagemaker is empty"
                fix = "Name one of Amazon ECR by digest: ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:…"
                raise FieldError(what, *where, fix=fix)
            if image.split(".")[3] != region:
                what = f"the image `{image}` is not in {region}, where {endpoint.id} runs"
                raise FieldError(what, *where, fix=f"Replicate it to Amazon ECR in {region}")


def losses_are_outlived(platform: Platform) -> None:
    """Who must outlive a loss has two instances at least, at all times."""
    for index, endpoint, settings in _each(platform):
        path = ("endpoints", index)
        if endpoint.survive != "none" and endpoint.replicas < 2:
            what = (
                f"endpoint {endpoint.id} must survive the loss of a {endpoint.survive} and has one instance"
            )
            raise FieldError(
                what, *path, "replicas", fix="Say 2 or more: AWS spreads them over the network's zones"
            )
        scaling = settings.autoscaling
        if scaling is None:
            continue
        where = (*path, "sagemaker", "autoscaling")
        if not scaling.min_instances <= endpoint.replicas <= scaling.max_instances:
            what = (
                f"{endpoint.id} starts with {endpoint.replicas} instances, and autoscaling keeps it between"
            )
            what = f"{what} {scaling.min_instances} and {scaling.max_instances}"
            raise FieldError(what, *where, fix="Name a range that holds the plan's replicas")
        if endpoint.survive != "none" and scaling.min_instances < 2:
            what = (
                f"{endpoint.id} must survive the loss of a {endpoint.survive}, and autoscaling leaves it one"
            )
            raise FieldError(what, *where, "min_instances", fix="Say 2 or more")


def models_are_in_a_network(platform: Platform) -> None:
    """The model stands in a network of its site that carries its class, and is called and fed privately."""
    for index, endpoint, _ in _each(platform):
        network = network_for(platform, endpoint.site, endpoint.class_)
        if network is None:
            raise FieldError(
                f"no network at {endpoint.site} carries {endpoint.class_} work, and {endpoint.id} stands in one",
                *("endpoints", index, "site"),
                fix=f"Add class {endpoint.class_} to one of `networks` at {endpoint.site}",
                refused=True,
            )
        # A network that exists may have S3's endpoint of its owner's.
        needed = ("sagemaker.runtime", "s3") if network.mode == "manage" else ("sagemaker.runtime",)
        missing = [one for one in needed if one not in network.services]
        if missing:
            raise FieldError(
                f"network {network.name} has no private endpoint for {' and '.join(missing)}, and {endpoint.id} "
                "stands in it",
                *("networks", platform.networks.index(network), "services"),
                fix="Add it to its services",
                refused=True,
            )


def identities_reach_their_own(platform: Platform) -> None:
    """An identity calls endpoints of its own site; a guardrail filters calls of Bedrock, so only there is it one."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, identity in enumerate(platform.identities):
        mine = [endpoints[name] for name in identity.endpoints]
        for number, endpoint in enumerate(mine):
            if endpoint.target == "sagemaker" and endpoint.site != identity.site:
                what = f"identity {identity.name} stands at {identity.site}, and endpoint {endpoint.id} on SageMaker"
                fix = f"Give {endpoint.site} an identity of its own"
                raise FieldError(
                    f"{what} at {endpoint.site}", *("identities", index, "endpoints", number), fix=fix
                )
        if identity.guardrail is not None and mine and not any(one.target == "bedrock" for one in mine):
            what = f"identity {identity.name} has a guardrail of Bedrock and calls no model there: it filters nothing"
            raise FieldError(what, *("identities", index, "guardrail"), fix="Leave it out", refused=True)


def keys_are_the_organisations(platform: Platform) -> None:
    """Where the class demands keys of the organisation's, what is stored is under one."""
    for index, endpoint, settings in _each(platform):
        path = ("endpoints", index, "sagemaker")
        own = handling.of(endpoint.class_).own_keys
        if settings.key.mode == "off" and (own or settings.capture is not None):
            whose = f"{endpoint.class_} work" if own else "what is captured"
            what = f"endpoint {endpoint.id} would store {whose} under no key of the organisation's"
            raise FieldError(
                what, *path, "key", "mode", fix="Say `manage`, or `existing` with its arn", refused=True
            )
        if (settings.key.mode == "existing") != (settings.key.arn is not None):
            what = (
                "the existing key names no arn" if settings.key.arn is None else "an arn of no existing key"
            )
            raise FieldError(
                f"endpoint {endpoint.id}: {what}", *path, "key", "arn", fix="Name both, or neither"
            )
        shadow = settings.shadow.instance_type if settings.shadow is not None else None
        disks = [one for one in (settings.instance_type, shadow) if one and has_disks(one)]
        if settings.volume_gib is not None and disks:
            what = f"{disks[0]} has disks of its own, for which AWS takes no size"
            raise FieldError(what, *path, "volume_gib", fix="Leave it out")


def content_is_kept_as_the_class_says(platform: Platform) -> None:
    """Captured prompts and answers are content: only where the class may keep some, and no longer."""
    for index, endpoint, settings in _each(platform):
        if settings.capture is None:
            continue
        path, held = ("endpoints", index, "sagemaker", "capture"), handling.of(endpoint.class_)
        if held.content_days_max == 0 or held.content_on_prem:
            what = f"capture would keep prompts and answers of {endpoint.class_} work in AWS, and the class keeps none"
            raise FieldError(f"endpoint {endpoint.id}: {what} there", *path, fix="Take it out", refused=True)
        if held.content_days_max is not None and settings.capture.days > held.content_days_max:
            what = f"captured for {settings.capture.days} days, and {endpoint.class_} content is kept"
            what = f"endpoint {endpoint.id}: {what} {held.content_days_max} at most"
            raise FieldError(what, *path, "days", fix=f"Say {held.content_days_max} or fewer", refused=True)


def rollbacks_can_happen(platform: Platform) -> None:
    """Calls wait at each step for as long as an alarm needs to go off: else none could take anything back."""
    for index, endpoint, settings in _each(platform):
        watched = settings.rollout.keep_old_s
        key = "keep_old_s"
        if settings.rollout.kind != "all-at-once":
            watched, key = settings.rollout.wait_s, "wait_s"
        needed = 60 * (settings.rollback.minutes + 1)
        if watched < needed:
            raise FieldError(
                f"endpoint {endpoint.id}: a step is watched for {watched} s, and its alarms need "
                f"{settings.rollback.minutes} minutes in a row and one to be counted",
                *("endpoints", index, "sagemaker", "rollout", key),
                fix=f"Say {needed} or more",
            )


CHECKS: tuple[Callable[[Platform], None], ...] = (
    images_are_in_the_region,
    losses_are_outlived,
    models_are_in_a_network,
    identities_reach_their_own,
    keys_are_the_organisations,
    content_is_kept_as_the_class_says,
    rollbacks_can_happen,
)
