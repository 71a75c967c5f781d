"""Rules for human review: gateways can hold the answers that need review, and only reviewers can reach them."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import TYPE_CHECKING

from edge.classes import CLASS_DEMANDS
from edge.review_domains import domain_problem
from isthmus.contracts.platform.lookups.desk import domains_of
from isthmus.contracts.platform.lookups.records import Place, has_managed_share, place_of
from isthmus.contracts.platform.model.callers import is_client_name
from isthmus.contracts.platform.model.reviews import SCORED_CLASSES, GatewayReviews
from isthmus.contracts.platform.rules.names import check_known, check_once
from isthmus.core.errors import FieldError, caught, raise_all, what_and_fix

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Gateway, Platform, Workload


def required_reviews_can_happen(platform: Platform) -> None:
    """Workloads that need review have a gateway with `reviews`. In AWS, `reviewed_by` may name another process instead,
    except for high impact."""
    raise_all(
        error
        for index, gateway in enumerate(platform.gateways)
        for number in range(len(gateway.workloads))
        for error in caught(_check_required_review, platform, index, number)
    )


def _check_required_review(platform: Platform, index: int, number: int) -> None:
    """A workload whose answers need review has somebody who can do it: its gateway, or `reviewed_by`."""
    gateway, path = platform.gateways[index], ("gateways", index, "workloads", number)
    place, workload = place_of(platform, gateway), gateway.workloads[number]
    if workload.reviewed_by is not None:
        _check_reviewed_by(gateway, workload, place, path)
    if gateway.reviews is not None or not workload.asks_for_people:
        return
    elsewhere = place != "on-prem" and workload.impact != "high"
    if elsewhere and workload.reviewed_by is not None:
        return
    reason, alternative = (
        _review_reason(workload),
        ", or set `reviewed_by` to who reviews them elsewhere" if elsewhere else "",
    )
    if place == "fargate":
        raise FieldError(
            f"{reason}, but gateway {gateway.name} runs on Fargate and cannot hold answers",
            *path,
            "reviewed_by" if elsewhere else "impact",
            fix="Use a blueprint whose gateway runs in a cluster, such as cloud-private, or move the workload to a "
            f"gateway on-prem{alternative}",
            refused=True,
        )
    raise FieldError(
        f"{reason}, but gateway {gateway.name} has no `reviews`",
        *("gateways", index, "reviews"),
        fix=f"Set `reviews` and `database` of the gateway (docs/reviews.md){alternative}",
        refused=True,
    )


def _check_reviewed_by(
    gateway: Gateway, workload: Workload, place: Place, path: tuple[str | int, ...]
) -> None:
    """`reviewed_by` is only for workloads that need review and whose gateway cannot hold answers."""
    why, fix = "", "Remove `reviewed_by`"
    if not workload.asks_for_people:
        why = "its answers need no review"
    elif place == "on-prem":
        why = "its own gateway can hold its answers"
    elif gateway.reviews is not None:
        why = "its own gateway holds its answers"
        fix = "Remove `reviewed_by`, or remove the gateway's `reviews` (set it to null)"
    if why:
        message = f"workload {workload.name} has `reviewed_by`, but {why}"
        raise FieldError(message, *path, "reviewed_by", fix=fix)


def low_scores_are_stated(platform: Platform) -> None:
    """Where people see an answer with a low score, the workload says which score is low."""
    raise_all(
        FieldError(
            f"workload {workload.name} has no review.below_confidence, so no score counts as low",
            *("gateways", index, "workloads", number, "review"),
            fix="Set review.below_confidence in the requirements and plan again",
        )
        for index, gateway in enumerate(platform.gateways)
        if gateway.reviews is not None
        for number, workload in enumerate(gateway.workloads)
        if gateway.class_ in SCORED_CLASSES or workload.holds_low_scores
        if workload.review is None or workload.review.below_confidence is None
    )


def reviews_are_complete(platform: Platform) -> None:
    """A gateway with `reviews` has a database, volumes, a certificate, thresholds and named reviewers."""
    for index, gateway in enumerate(platform.gateways):
        path = ("gateways", index, "reviews")
        for number, workload in enumerate(gateway.workloads):
            _check_calibrations(gateway, workload, ("gateways", index, "workloads", number))
        reviews = gateway.reviews
        if reviews is None:
            continue
        if gateway.runs_on != "kubernetes":
            message = f"gateway {gateway.name} runs on Fargate, which does not support `reviews`"
            raise FieldError(message, *path, fix="Remove `reviews` (docs/reviews.md)")
        _check_records_volume(gateway, reviews, path)
        if gateway.database is None:
            message = f"gateway {gateway.name} has `reviews`, but no database for held answers"
            raise FieldError(
                message,
                "gateways",
                index,
                "database",
                fix="Set `database` with host and address of a PostgreSQL database",
            )
        if reviews.user == gateway.database.user:
            message = f"gateway and reviews of {gateway.name} have the same database user {reviews.user}"
            raise FieldError(
                message,
                *path,
                "user",
                fix="Set `user` to another user; `edge.keys migrate` grants its rights",
                refused=True,
            )
        content = gateway.audit.content if gateway.audit is not None else None
        if (content is None) == (reviews.gateway_keys_volume is None):
            message = "gateway_keys_volume is not set, so the gateway cannot store the keys of held answers"
            fix = (
                "Set gateway_keys_volume to the name of a PersistentVolume on the same share as `keys_volume`"
            )
            if content is not None:
                message = "gateway_keys_volume is set, but held answers share the keys of audit.content"
                fix = "Remove gateway_keys_volume: the volume of audit.content is used"
            raise FieldError(message, *path, "gateway_keys_volume", fix=fix)
        if platform.issuer is None and reviews.certificate_secret is None:
            message = f"reviews of gateway {gateway.name} have neither a certificate issuer nor a certificate_secret"
            fix = "Set `issuer: {name: …}` in `isthmus:overrides`, or a certificate_secret here"
            raise FieldError(message, *path, "certificate_secret", fix=fix)
        _check_keep_days(gateway, reviews, path)
        _check_domains(gateway, reviews, path)
        _check_reviewer_networks(platform, gateway, reviews, path)
        _check_reviewers(gateway, reviews, path)


def _review_reason(workload: Workload) -> str:
    if workload.impact in ("material", "high"):
        return f"answers of workload {workload.name} need human review (impact: {workload.impact})"
    return f"answers of workload {workload.name} need human review (`review` is set)"


def _check_calibrations(gateway: Gateway, workload: Workload, path: tuple[str | int, ...]) -> None:
    names: set[str] = set()
    for number, calibration in enumerate(workload.calibrations):
        where = (*path, "calibrations", number)
        if workload.review is None:
            message = f"workload {workload.name} has `calibrations`, but no `review` with a domain"
            raise FieldError(
                message, *where, fix="Set `review` in the requirements, with the calibrated domain"
            )
        if gateway.runs_on != "kubernetes":
            message = f"gateway {gateway.name} runs on Fargate, which does not support `calibrations`"
            raise FieldError(message, *where, fix="Remove `calibrations`")
        if calibration.name in names:
            raise FieldError(
                f"two calibrations of workload {workload.name} have the name {calibration.name}",
                *where,
                "name",
                fix="Rename one of them",
            )
        names.add(calibration.name)


def _check_records_volume(gateway: Gateway, reviews: GatewayReviews, path: tuple[str | int, ...]) -> None:
    """The review service writes records to the gateway's file share: by records_volume if the share exists already."""
    if gateway.audit is None:
        return  # `check_gateway_audit` rejects this
    is_managed = has_managed_share(gateway)
    if is_managed and reviews.records_volume is not None:
        message = f"records_volume is set, but Isthmus makes the file share of gateway {gateway.name}"
        raise FieldError(message, *path, "records_volume", fix="Remove records_volume")
    if not is_managed and reviews.records_volume is None:
        message = f"reviews of gateway {gateway.name} have no records_volume"
        raise FieldError(
            message,
            *path,
            "records_volume",
            fix="Set records_volume to another PersistentVolume of the same share as audit.volume",
        )


def _check_keep_days(gateway: Gateway, reviews: GatewayReviews, path: tuple[str | int, ...]) -> None:
    max_days = CLASS_DEMANDS[gateway.class_].held_days_max
    if max_days is not None and reviews.keep_days > max_days:
        message = (
            f"keep_days is {reviews.keep_days}, but class {gateway.class_} allows {max_days} days for held "
            "answers"
        )
        fix = f"Set keep_days to {max_days} or less"
        raise FieldError(message, *path, "keep_days", fix=fix, refused=True)
    if reviews.decide_h + reviews.escalated_h > reviews.keep_days * 24:
        message = f"keep_days is {reviews.keep_days}, shorter than decide_h and escalated_h together"
        raise FieldError(message, *path, "keep_days", fix="Raise keep_days, or lower decide_h or escalated_h")


def _check_domains(gateway: Gateway, reviews: GatewayReviews, path: tuple[str | int, ...]) -> None:
    """The gateway has these domains, and keeps their answers until they expire."""
    names = [domain.name for domain in reviews.domains]
    check_known(gateway, "domain", names, domains_of(gateway), (*path, "domains"))
    check_once("domain", names, (*path, "domains"))
    problem = domain_problem(reviews.domains, timedelta(days=reviews.keep_days))
    if problem is not None:
        what, fix = what_and_fix(problem)
        what = what.removeprefix("domains: ")
        raise FieldError(f"{what}, and keep_days is {reviews.keep_days}", *path, "keep_days", fix=fix)


def _check_reviewer_networks(
    platform: Platform, gateway: Gateway, reviews: GatewayReviews, path: tuple[str | int, ...]
) -> None:
    if not reviews.from_cidrs and not reviews.from_namespaces:
        message = (
            f"reviews of gateway {gateway.name} have neither from_cidrs nor from_namespaces, so nobody can reach "
            "them"
        )
        fix = "Set from_cidrs to the reviewers' networks, or set from_namespaces"
        raise FieldError(message, *path, "from_cidrs", fix=fix)
    kinds = ("on-prem",) if gateway.class_ == "restricted" else ("on-prem", "aws")
    networks = [
        ipaddress.ip_network(cidr) for site in platform.sites if site.kind in kinds for cidr in site.cidrs
    ]
    for number, cidr in enumerate(reviews.from_cidrs):
        where = (*path, "from_cidrs", number)
        try:
            network = ipaddress.IPv4Network(cidr)
        except ValueError:
            raise FieldError(f"`{cidr}` is not a network", *where) from None
        if not any(network.subnet_of(site_network) for site_network in networks if site_network.version == 4):
            label = "the on-prem sites'" if gateway.class_ == "restricted" else "the sites' own"
            raise FieldError(
                f"held {gateway.class_} answers could be read from `{cidr}`, which is outside {label} networks",
                *where,
                fix=f"Use networks within {', '.join(map(str, networks)) or 'a network of a site (none has one)'}",
                refused=True,
            )


def _check_reviewers(gateway: Gateway, reviews: GatewayReviews, path: tuple[str | int, ...]) -> None:
    workloads = {workload.name: workload for workload in gateway.workloads}
    clients: dict[str, str] = {}
    for number, person in enumerate(reviews.reviewers):
        where = (*path, "reviewers", number)
        if not is_client_name(person.client):
            fix = "Write a full DNS name in lower case, or spiffe://TRUST-DOMAIN/PATH"
            raise FieldError(
                f"`{person.client}` is not a valid name of a client certificate", *where, "client", fix=fix
            )
        if clients.setdefault(person.client, person.name) != person.name:
            message = f"client {person.client} is listed for two reviewers, {clients[person.client]} and {person.name}"
            raise FieldError(
                message, *where, "client", fix="Give each reviewer a certificate of their own", refused=True
            )
        for name in person.workloads or []:
            if name not in workloads:
                raise FieldError(
                    f"gateway {gateway.name} has no workload `{name}`",
                    *where,
                    "workloads",
                    fix=f"Use one of {', '.join(workloads)}",
                )


def volumes_have_one_use(platform: Platform) -> None:
    """A volume binds to one claim, so records and reviews of a site use each volume once."""
    uses: dict[tuple[str, str], str] = {}
    for index, gateway in enumerate(platform.gateways):
        audit, reviews = gateway.audit, gateway.reviews
        if audit is None:
            continue
        volumes = {"audit.volume": audit.volume, "audit.sealer_volume": audit.sealer_volume}
        if audit.content is not None:
            volumes["audit.content.volume"] = audit.content.volume
        if reviews is not None:
            volumes |= {
                "reviews.records_volume": reviews.records_volume,
                "reviews.keys_volume": reviews.keys_volume,
            }
            if reviews.gateway_keys_volume is not None:
                volumes["reviews.gateway_keys_volume"] = reviews.gateway_keys_volume
        for key, volume in volumes.items():
            if volume is None:
                continue  # Isthmus makes the share
            use = f"{gateway.name}'s {key}"
            first_use = uses.setdefault((gateway.site, volume), use)
            if first_use != use:
                message = (
                    f"volume {volume} is used twice, as {first_use} and as {use}, but it binds to one claim"
                )
                raise FieldError(
                    message,
                    "gateways",
                    index,
                    *key.split("."),
                    fix="Use a separate volume for each, and a separate share for each class",
                )


CHECKS = (
    required_reviews_can_happen,
    reviews_are_complete,
    low_scores_are_stated,
    volumes_have_one_use,
)
