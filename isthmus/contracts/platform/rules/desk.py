"""Rules for review desks: people can sign on and reach them, and each entry names what their gateway serves."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.contracts.platform.lookups.desk import domains_of
from isthmus.contracts.platform.model.desk import ReviewDesk
from isthmus.contracts.platform.model.platform import Gateway, Platform
from isthmus.contracts.platform.rules.names import check_known, check_once
from isthmus.contracts.platform.rules.signed_on_pages import (
    Path,
    check_can_be_reached,
    check_client,
    check_within_class,
)
from isthmus.core.errors import FieldError, caught, raise_all

MOST_TEXTS = 512 * 1024
"""Bytes of all guidelines and planted answers of a desk: they are in one ConfigMap, which holds 1 MiB."""

_REVIEWERS = frozenset(("reviewer", "senior"))
"""Roles that read content."""


def desks_can_be_used(platform: Platform) -> None:
    """A desk has a sign-on, an image, people who reach it, and entries for what its gateway serves."""
    raise_all(
        error
        for path, gateway, desk in _desks(platform)
        for check in (_check_sign_on, _check_entrance, _check_names)
        for error in caught(check, platform, path, gateway, desk)
    )


def auditors_do_not_review(platform: Platform) -> None:
    """A group is auditor at desks, or it reviews."""
    roles: dict[str, set[str]] = {}
    for _, _, desk in _desks(platform):
        for entry in desk.groups:
            for name in entry.groups:
                roles.setdefault(name, set()).add(entry.role)
    raise_all(
        FieldError(
            f"group `{name}` is auditor and {' and '.join(sorted(roles[name] & _REVIEWERS))} at the desk",
            *(*path, "groups", index, "groups", number),
            fix="Give auditors a group of their own: they never read content, and a reviewer does",
            refused=True,
        )
        for path, _, desk in _desks(platform)
        for index, entry in enumerate(desk.groups)
        for number, name in enumerate(entry.groups)
        if entry.role == "auditor" and roles[name] & _REVIEWERS
    )


def _desks(platform: Platform) -> Iterator[tuple[Path, Gateway, ReviewDesk]]:
    for index, gateway in enumerate(platform.gateways):
        if gateway.desk is not None:
            yield ("gateways", index, "reviews", "desk"), gateway, gateway.desk


def _check_sign_on(platform: Platform, path: Path, gateway: Gateway, desk: ReviewDesk) -> None:
    sign_on = platform.people.sign_on if platform.people else None
    if sign_on is None:
        raise FieldError(
            f"nobody can sign on at the desk of gateway {gateway.name}",
            *path,
            fix="State `people.sign_on` with `address` and `keys` (docs/desk.md)",
        )
    check_client(platform, path, gateway, desk)
    for key, value, what in (
        ("address", sign_on.address, "the issuer's IP address, because a network policy cannot hold a name"),
        ("keys", sign_on.keys, "where the issuer's public keys are: `config_map`, or `url` and `address`"),
    ):
        if value is None:
            raise FieldError(
                f"a desk needs the {key} of the sign-on", "people", "sign_on", key, fix=f"Set `{key}`: {what}"
            )
    if platform.issuer is None:
        raise FieldError(
            "the proxy at a desk's sign-on needs a certificate", "issuer", fix="Set `issuer: {name: …}`"
        )
    if platform.images.sign_on is None:
        raise FieldError(
            "a desk needs the image `sign_on`", "images", "sign_on", fix="Set images.sign_on, by digest"
        )


def _check_entrance(platform: Platform, path: Path, gateway: Gateway, desk: ReviewDesk) -> None:
    check_can_be_reached(path, gateway, desk)
    if gateway.chat is not None and gateway.chat.url.rstrip("/").lower() == desk.url:
        message = (
            f"the desk of gateway {gateway.name} has the address of its chat, so their sign-ons would collide"
        )
        raise FieldError(message, *path, "url", fix="Give the desk a host of its own")
    stated: list[tuple[str, Path, str]] = [
        (cidr, (*path, "from_cidrs", number), f"held {gateway.class_} answers could be read from")
        for number, cidr in enumerate(desk.from_cidrs)
    ]
    sign_on = platform.people.sign_on if platform.people else None
    if sign_on is not None:
        addresses = {"address": sign_on.address, "keys": sign_on.keys.address if sign_on.keys else None}
        stated += [
            (address, ("people", "sign_on", key), f"reviewers of {gateway.class_} answers would sign on at")
            for key, address in addresses.items()
            if address is not None
        ]
    check_within_class(platform, gateway, stated)


def _check_names(_: Platform, path: Path, gateway: Gateway, desk: ReviewDesk) -> None:
    """Domains, workloads and codes exist, and are there once."""
    domains, workloads = domains_of(gateway), [workload.name for workload in gateway.workloads]
    for index, group in enumerate(desk.groups):
        where = (*path, "groups", index)
        check_known(gateway, "domain", group.domains or [], domains, (*where, "domains"))
        check_known(gateway, "workload", group.workloads or [], workloads, (*where, "workloads"))
    stated = [reasons.domain for reasons in desk.reasons]
    check_known(gateway, "domain", stated, domains, (*path, "reasons"))
    check_once("domain", stated, (*path, "reasons"))
    for index, reasons in enumerate(desk.reasons):
        check_once("code", [reason.code for reason in reasons.codes], (*path, "reasons", index, "codes"))
    hidden = desk.score_after_first_judgement
    check_known(gateway, "domain", hidden, domains, (*path, "score_after_first_judgement"))
    guided = [workload for guideline in desk.guidelines for workload in guideline.workloads]
    check_known(gateway, "workload", guided, workloads, (*path, "guidelines"))
    check_once("workload", guided, (*path, "guidelines"))
    _check_planted(gateway, desk, (*path, "planted"))
    size = sum(
        len((guideline.text or "").encode()) * len(guideline.workloads) for guideline in desk.guidelines
    ) + sum(len((planted.text or "").encode()) for planted in desk.planted)
    if size > MOST_TEXTS:
        raise FieldError(
            f"guidelines and planted answers of gateway {gateway.name}'s desk have {size} bytes, and {MOST_TEXTS} is "
            "the most",
            *(*path, "guidelines"),
            fix="Shorten them, or link to a longer text",
        )


def _check_planted(gateway: Gateway, desk: ReviewDesk, where: Path) -> None:
    domains = [planted.domain for planted in desk.planted]
    check_known(gateway, "domain", domains, domains_of(gateway), where)
    check_once("domain", domains, where)
    for index, planted in enumerate(desk.planted):
        if planted.text is None:
            raise FieldError(
                f"the planted answers of domain `{planted.domain}` were not read",
                *(*where, index, "file"),
                fix="Put the file into the stack's folder",
            )
        workloads = [
            workload.name
            for workload in gateway.workloads
            if workload.review is not None and workload.review.domain == planted.domain
        ]
        for answer in planted.settings().answers:
            check_known(gateway, "workload", answer.workloads or [], workloads, (*where, index, "file"))


CHECKS = (desks_can_be_used, auditors_do_not_review)
