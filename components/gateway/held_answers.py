"""Held answers at their gateway: its configuration's section `reviews`, and the volume with their keys.

People decide elsewhere (`components.reviews.service`). A gateway that holds none serves no workload that asks for it.
"""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.gateway.records import CONTENT_KEYS, KEYS, GatewayAudit, shared_claim
from isthmus.core.errors import InputError, Refused

HOURS = 24
"""Until an answer is escalated, and then expired, unless something else is said."""
DAYS = 7


class GatewayHeld(TypedDict):
    """How long answers are held for people, and under which keys."""

    gateway_keys_volume: NotRequired[str]
    """PersistentVolume with the keys of held answers; absent: that of `audit.content`, whose keys are the same."""
    decide_h: NotRequired[float]
    """Hours until an answer that nobody has decided is escalated (default 24)."""
    escalated_h: NotRequired[float]
    """Further hours, after which it is expired and never given out (default 24)."""
    keep_days: NotRequired[int]
    """Days after which an answer is deleted and its key destroyed, decided or not (default 7)."""


class Held:
    """What a gateway with held answers has beside one without."""

    def __init__(
        self,
        name: str,
        service: str,
        space: str,
        own: dict[str, str],
        args: Any,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`args`: as `InferenceGatewayArgs`. Raises `Refused` where people must see answers and none is held,
        `InputError` where what they are held by is missing."""
        held: GatewayHeld | None = args.get("reviews")
        self.section: dict[str, Any] = {}
        """Of the edge's configuration."""
        self.before: list[pulumi.Resource] = []
        self.mounts: list[dict[str, Any]] = []
        self.volumes: list[dict[str, Any]] = []
        if held is None:
            _none_asks(args["routes"], service)
            return
        for needed in ("database", "audit"):
            if needed not in args:
                raise InputError(
                    f"held answers need `{needed}`",
                    where=f"{service}.{needed}",
                    fix="They lie in the database, and who decided is in the audit record",
                )
        keys = _keys(held, args["audit"], service)
        if keys is not None:
            claim = f"{service}-held-keys"
            self.before.append(shared_claim(f"{name}-held-keys", claim, keys, space, own, opts))
            self.mounts.append({"name": "held-keys", "mountPath": CONTENT_KEYS})
            self.volumes.append({"name": "held-keys", "persistentVolumeClaim": {"claimName": claim}})
        self.section["reviews"] = {
            "keys": CONTENT_KEYS,
            "wrapping_key": f"{KEYS}/wrapping.key",
            "decide_h": held.get("decide_h", HOURS),
            "escalated_h": held.get("escalated_h", HOURS),
            "keep_days": held.get("keep_days", DAYS),
        }


def _none_asks(routes: list[Any], service: str) -> None:
    for route in routes:
        if "review" in route or route.get("impact", "low") != "low":
            raise Refused(
                f"people must look at answers of '{route['workload']}', and {service} holds none",
                where=f"{service}.reviews",
                fix="Give `reviews`, `database` and `audit`, and the component Reviews beside it",
            )


def _keys(held: GatewayHeld, audit: GatewayAudit, service: str) -> str | None:
    """The volume for their keys; None where content's own is mounted already."""
    volume = held.get("gateway_keys_volume")
    if ("content" in audit) == (volume is not None):
        raise InputError(
            "held answers and kept content have one volume of keys"
            if volume is not None
            else "no volume is named for the keys of held answers",
            where=f"{service}.reviews.gateway_keys_volume",
            fix="Leave it out" if volume is not None else "Name it",
        )
    return volume
