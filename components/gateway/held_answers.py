"""Held answers of a gateway: section `reviews` of its configuration, and the volume with their keys.

People decide in `components.reviews.service`. A gateway that holds no answers cannot serve a workload that requires
reviews.
"""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.gateway.records import CONTENT_KEYS, KEYS, GatewayAudit, create_shared_claim
from isthmus.core.errors import InputError, Refused

HOURS = 24
"""Default hours until an answer is escalated, and from then until it expires."""
DAYS = 7


class GatewayHeld(TypedDict):
    """For how long answers are held for review, and where their keys are."""

    gateway_keys_volume: NotRequired[str]
    """PersistentVolume with the keys of held answers. Absent: that of `audit.content`, with the same keys."""
    decide_h: NotRequired[float]
    """Hours after which an undecided answer is escalated (default 24)."""
    escalated_h: NotRequired[float]
    """Further hours after which it expires. An expired answer is never returned (default 24)."""
    keep_days: NotRequired[int]
    """Days after which an answer is deleted and its key destroyed, decided or not (default 7)."""
    domains: NotRequired[list[dict[str, Any]]]
    """Deadlines in working time, the same as those of the review service (docs/deadlines.md)."""
    cases: NotRequired[dict[str, Any]]
    """Legal basis and notice of people's cases, and `appeal_days` (docs/sign-on.md)."""


class HeldAnswers:
    """What a gateway with held answers needs: volume, mounts and a section of its configuration."""

    def __init__(
        self,
        name: str,
        service: str,
        namespace: str,
        labels: dict[str, str],
        args: Any,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`args`: as `InferenceGatewayArgs`. Raises `Refused` if people must review answers but none are held, and
        `InputError` if a required setting is missing.
        """
        settings: GatewayHeld | None = args.get("reviews")
        self.section: dict[str, Any] = {}
        """Section `reviews` of the edge's configuration."""
        self.dependencies: list[pulumi.Resource] = []
        self.mounts: list[dict[str, Any]] = []
        self.volumes: list[dict[str, Any]] = []
        if settings is None:
            _check_no_review(args["routes"], service)
            return
        for argument in ("database", "audit"):
            if argument not in args:
                raise InputError(
                    f"held answers need `{argument}`",
                    where=f"{service}.{argument}",
                    fix="Set it: held answers are stored in the database, and decisions in the audit records",
                )
        keys = _keys(settings, args["audit"], service)
        if keys is not None:
            claim = f"{service}-held-keys"
            self.dependencies.append(
                create_shared_claim(f"{name}-held-keys", claim, keys, namespace, labels, opts)
            )
            self.mounts.append({"name": "held-keys", "mountPath": CONTENT_KEYS})
            self.volumes.append({"name": "held-keys", "persistentVolumeClaim": {"claimName": claim}})
        self.section["reviews"] = {
            "keys": CONTENT_KEYS,
            "wrapping_key": f"{KEYS}/wrapping.key",
            "decide_h": settings.get("decide_h", HOURS),
            "escalated_h": settings.get("escalated_h", HOURS),
            "keep_days": settings.get("keep_days", DAYS),
            **({"domains": settings["domains"]} if "domains" in settings else {}),
            **({"cases": settings["cases"]} if "cases" in settings else {}),
        }


def _check_no_review(routes: list[Any], service: str) -> None:
    for route in routes:
        if "review" in route or route.get("impact", "low") != "low":
            raise Refused(
                f"people must review answers of '{route['workload']}', but {service} holds no answers",
                where=f"{service}.reviews",
                fix="Set `reviews`, `database` and `audit`, and add the component Reviews",
            )


def _keys(settings: GatewayHeld, audit: GatewayAudit, service: str) -> str | None:
    """The volume of their keys. None: the keys of content are mounted already."""
    volume = settings.get("gateway_keys_volume")
    if ("content" in audit) == (volume is not None):
        raise InputError(
            "gateway_keys_volume is set, but held answers use the keys volume of audit.content"
            if volume is not None
            else "no volume is set for the keys of held answers",
            where=f"{service}.reviews.gateway_keys_volume",
            fix="Remove it" if volume is not None else "Set it",
        )
    return volume
