"""What must hold of held answers: where they are demanded they can be held, and only those who should decide. Rules of
`platform_checks`."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from isthmus.contracts.platform.lookups.records import Place, place_of, share_is_made
from isthmus.contracts.platform.model.callers import whole_name
from isthmus.contracts.platform.model.reviews import KEEP_DAYS, SCORED, GatewayReviews
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Gateway, Platform, Workload


def answers_are_held_where_people_must_see_them(platform: Platform) -> None:
    """Behind a gateway that can hold answers, those that people must see are held; in AWS somebody else may be named
    for it in its place, and for high impact nobody is enough."""
    for index, gateway in enumerate(platform.gateways):
        place = place_of(platform, gateway)
        for number, workload in enumerate(gateway.workloads):
            path = ("gateways", index, "workloads", number)
            if workload.reviewed_by is not None:
                _named_where_it_counts(gateway, workload, place, path)
            if gateway.reviews is not None or not workload.asks_for_people:
                continue
            elsewhere = place != "on-prem" and workload.impact != "high"
            if elsewhere and workload.reviewed_by is not None:
                continue
            asked, other = _asked(workload), ", or name who sees to it instead" if elsewhere else ""
            if place == "fargate":
                raise FieldError(
                    f"{asked}, and gateway {gateway.name} on Fargate can hold no answers for people",
                    *path,
                    "reviewed_by" if elsewhere else "impact",
                    fix=f"Serve it behind a gateway in a cluster, on-prem or in AWS{other}",
                    refused=True,
                )
            raise FieldError(
                f"{asked}, and gateway {gateway.name} holds no answers for people",
                *("gateways", index, "reviews"),
                fix=f"State `reviews` and `database` of the gateway (docs/reviews.md){other}",
                refused=True,
            )


def _named_where_it_counts(
    gateway: Gateway, workload: Workload, place: Place, path: tuple[str | int, ...]
) -> None:
    """Who reviews it elsewhere is named in place of the gateway, and not beside it."""
    why, fix = "", "Leave it out"
    if not workload.asks_for_people:
        why = "nobody asks for people to see them"
    elif place == "on-prem":
        why = "its own gateway can hold its answers"
    elif gateway.reviews is not None:
        why = "its own gateway holds its answers"
        fix = "Leave it out, or take the gateway's `reviews` out (by null)"
    if why:
        what = f"{workload.name} names who reviews it elsewhere, and {why}"
        raise FieldError(what, *path, "reviewed_by", fix=fix)


def reviews_are_whole(platform: Platform) -> None:
    """Held answers have a database, keys and hours; which score is low is said; people come from named places."""
    for index, gateway in enumerate(platform.gateways):
        path = ("gateways", index, "reviews")
        for number, workload in enumerate(gateway.workloads):
            _calibrated(gateway, workload, ("gateways", index, "workloads", number))
        reviews = gateway.reviews
        if reviews is None:
            continue
        if gateway.runs_on != "kubernetes":
            what = f"gateway {gateway.name} runs on Fargate, where no answers are held"
            raise FieldError(what, *path, fix="Leave it out (docs/reviews.md)")
        _share_is_the_records(gateway, reviews, path)
        if gateway.database is None:
            what = f"gateway {gateway.name} holds answers and has no database to hold them in"
            raise FieldError(
                what, "gateways", index, "database", fix="Name host and address of its PostgreSQL"
            )
        if reviews.user == gateway.database.user:
            what = f"the gateway's database user {reviews.user} would decide upon its own answers"
            raise FieldError(
                what,
                *path,
                "user",
                fix="Name another, which `edge.keys migrate` gives its rights",
                refused=True,
            )
        content = gateway.audit.content if gateway.audit is not None else None
        if (content is None) == (reviews.gateway_keys_volume is None):
            what = "no volume is named for the keys of held answers"
            fix = "Name gateway_keys_volume"
            if content is not None:
                what = "held answers and kept content have one folder of keys: who erases a subject erases all of it"
                fix = "Leave gateway_keys_volume out: it is that of audit.content"
            raise FieldError(what, *path, "gateway_keys_volume", fix=fix)
        if platform.issuer is None and reviews.certificate_secret is None:
            what = "there is no certificate issuer, and no Secret with a certificate is named"
            fix = "Name `issuer: {name: …}` in `isthmus:overrides`, or a certificate_secret here"
            raise FieldError(what, *path, "certificate_secret", fix=fix)
        _kept(gateway, reviews, path)
        for number, workload in enumerate(gateway.workloads):
            by_score = gateway.class_ in SCORED or workload.impact == "material"
            if by_score and (workload.review is None or workload.review.below_confidence is None):
                raise FieldError(
                    f"a low score holds answers of {workload.name}, and nobody says which score is low",
                    *("gateways", index, "workloads", number, "review"),
                    fix="State review.below_confidence in the requirements and plan anew",
                )
        _reachable(platform, gateway, reviews, path)
        _people(gateway, reviews, path)


def _asked(workload: Workload) -> str:
    if workload.impact in ("material", "high"):
        return f"people must look at answers of {workload.name}, whose impact is {workload.impact}"
    return f"people must look at answers of {workload.name}, as its review says"


def _calibrated(gateway: Gateway, workload: Workload, path: tuple[str | int, ...]) -> None:
    names: set[str] = set()
    for number, each in enumerate(workload.calibrations):
        where = (*path, "calibrations", number)
        if workload.review is None:
            what = f"{workload.name} names calibrations, and no domain in which they would count"
            raise FieldError(
                what, *where, fix="State `review` in the requirements, with the domain that was calibrated"
            )
        if gateway.runs_on != "kubernetes":
            what = f"gateway {gateway.name} runs on Fargate, where calibrations are not built for"
            raise FieldError(what, *where, fix="Leave them out")
        if each.name in names:
            raise FieldError(f"two calibrations of {workload.name} are called {each.name}", *where, "name")
        names.add(each.name)


def _share_is_the_records(gateway: Gateway, reviews: GatewayReviews, path: tuple[str | int, ...]) -> None:
    """Who decides writes records beside the gateway's: on the organisation's share by a volume, on a made one by its
    access points."""
    if gateway.audit is None:
        return  # refused where records are looked at
    made = share_is_made(gateway)
    if made and reviews.records_volume is not None:
        what = (
            f"the share of records of gateway {gateway.name} is made here, and a volume of another is named"
        )
        raise FieldError(what, *path, "records_volume", fix="Leave it out")
    if not made and reviews.records_volume is None:
        what = f"those who decide upon answers of {gateway.name} name no volume for their records"
        raise FieldError(
            what,
            *path,
            "records_volume",
            fix="Name a PersistentVolume that is the share of audit.volume once more",
        )


def _kept(gateway: Gateway, reviews: GatewayReviews, path: tuple[str | int, ...]) -> None:
    most = KEEP_DAYS.get(gateway.class_)
    if most is not None and reviews.keep_days > most:
        what = f"held answers of class {gateway.class_} are kept at most {most} days"
        raise FieldError(what, *path, "keep_days", fix=f"Say {most} or less", refused=True)
    if reviews.decide_h + reviews.escalated_h > reviews.keep_days * 24:
        what = "answers would be deleted before decide_h and escalated_h are over"
        raise FieldError(what, *path, "keep_days", fix="Say more days, or fewer hours")


def _reachable(
    platform: Platform, gateway: Gateway, reviews: GatewayReviews, path: tuple[str | int, ...]
) -> None:
    if not reviews.from_cidrs and not reviews.from_namespaces:
        what = f"nobody could reach the reviews of gateway {gateway.name}"
        raise FieldError(what, *path, "from_cidrs", fix="Name the reviewers' networks, or from_namespaces")
    kinds = ("on-prem",) if gateway.class_ == "restricted" else ("on-prem", "aws")
    own = [ipaddress.ip_network(cidr) for site in platform.sites if site.kind in kinds for cidr in site.cidrs]
    for number, cidr in enumerate(reviews.from_cidrs):
        where = (*path, "from_cidrs", number)
        try:
            network = ipaddress.IPv4Network(cidr)
        except ValueError:
            raise FieldError(f"`{cidr}` is not a network", *where) from None
        if not any(network.subnet_of(one) for one in own if one.version == 4):
            whose = "the on-prem sites'" if gateway.class_ == "restricted" else "the sites' own"
            raise FieldError(
                f"held {gateway.class_} answers could be read from `{cidr}`, outside {whose} networks",
                *where,
                fix=f"Name a part of {', '.join(map(str, own)) or 'none'}",
                refused=True,
            )


def _people(gateway: Gateway, reviews: GatewayReviews, path: tuple[str | int, ...]) -> None:
    known = {workload.name: workload for workload in gateway.workloads}
    spoken: dict[str, str] = {}
    for number, person in enumerate(reviews.reviewers):
        where = (*path, "reviewers", number)
        if not whole_name(person.client):
            fix = "Write a whole DNS name in lower case, or spiffe://TRUST-DOMAIN/PATH"
            raise FieldError(
                f"`{person.client}` is no name of a client's certificate", *where, "client", fix=fix
            )
        if spoken.setdefault(person.client, person.name) != person.name:
            what = f"{person.client} would be {spoken[person.client]} and {person.name}"
            raise FieldError(what, *where, "client", fix="Let each certificate be one person's", refused=True)
        for name in person.workloads or []:
            if name not in known:
                raise FieldError(f"gateway {gateway.name} serves no workload {name}", *where, "workloads")


def volumes_are_apart(platform: Platform) -> None:
    """One volume binds to one claim, so each is named once at a site, among records and reviews together."""
    taken: dict[tuple[str, str], str] = {}
    for index, gateway in enumerate(platform.gateways):
        audit, reviews = gateway.audit, gateway.reviews
        if audit is None:
            continue
        named = {"audit.volume": audit.volume, "audit.sealer_volume": audit.sealer_volume}
        if audit.content is not None:
            named["audit.content.volume"] = audit.content.volume
        if reviews is not None:
            named |= {
                "reviews.records_volume": reviews.records_volume,
                "reviews.keys_volume": reviews.keys_volume,
            }
            if reviews.gateway_keys_volume is not None:
                named["reviews.gateway_keys_volume"] = reviews.gateway_keys_volume
        for key, volume in named.items():
            if volume is None:
                continue  # a share that is made
            own = f"{gateway.name}'s {key}"
            other = taken.setdefault((gateway.site, volume), own)
            if other != own:
                what = f"volume {volume} is {own} and {other}: one binds to one claim"
                raise FieldError(
                    what,
                    "gateways",
                    index,
                    *key.split("."),
                    fix="Name one for each, and one share for each class",
                )


CHECKS = (answers_are_held_where_people_must_see_them, reviews_are_whole, volumes_are_apart)
