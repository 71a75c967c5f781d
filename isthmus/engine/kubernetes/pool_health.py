"""Checks the health of GPU pools: each sign in the stack output `pools` is looked up in its cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import ApiRefusal, KubeClient

NOT_SIMULATED = ("ClusterQueue", "LocalQueue", "NVIDIADriver")
"""Objects whose state their operators report, which the sandbox does not run."""


@dataclass(frozen=True)
class SignResult:
    """Result of one sign: how many of the expected objects show it."""

    pool: str
    site: str
    object: str
    """Description of the objects."""
    path: str
    wanted: str
    """Expected value; empty means any value."""
    count: int
    """Number of objects that should show it."""
    shown: int
    instead: tuple[str, ...] = ()
    """Distinct wrong values; `nothing` for a missing value or object."""

    @property
    def well(self) -> bool:
        return self.shown == self.count and not self.instead

    def __str__(self) -> str:
        """Text such as `Node pool=a: status › allocatable › nvidia.com/gpu should be 8, is 7 (3 of 4 are right)`."""
        subject = f"{self.object}: {self.path}" if self.path else self.object
        if self.well:
            return f"{subject} is {self.wanted or 'there'}"
        share = f" ({self.shown} of {self.count} are right)" if self.count > 1 else ""
        return f"{subject} should be {self.wanted or 'there'}, is {', '.join(self.instead)}{share}"


def check_pools(pools: list[dict[str, Any]], clusters: Mapping[str, KubeClient]) -> list[SignResult]:
    """Check every sign of every pool. Raises `EnvironmentFault` if a cluster refuses a read."""
    results: list[SignResult] = []
    for pool in pools:
        reader = _CachedReader(clusters[pool["site"]])
        results += [_check_sign(reader, pool, sign) for sign in pool["signs"]]
    return results


class _CachedReader:
    """Reader of a cluster that caches answers, since several signs use the same objects."""

    def __init__(self, cluster: KubeClient) -> None:
        self._cluster = cluster
        self._answers: dict[str, Any] = {}

    def objects(self, sign: dict[str, Any]) -> list[dict[str, Any]]:
        version = sign["api_version"]
        root = "/api/v1" if version == "v1" else f"/apis/{version}"
        resources = (self._get(root) or {}).get("resources") or []
        plural = next(
            (
                resource["name"]
                for resource in resources
                if resource["kind"] == sign["kind"] and "/" not in resource["name"]
            ),
            None,
        )
        if plural is None:
            return []
        path = (
            f"{root}/namespaces/{sign['namespace']}/{plural}" if sign.get("namespace") else f"{root}/{plural}"
        )
        if sign.get("name"):
            named_object = self._get(f"{path}/{sign['name']}")
            return [named_object] if named_object else []
        terms = [f"{key}={value}" for key, value in sign["labels"].items()]
        selector = ",".join([*terms, *(f"!{key}" for key in sign.get("without", []))])
        return (self._get(f"{path}?labelSelector={quote(selector)}") or {}).get("items") or []

    def _get(self, path: str) -> Any:
        if path not in self._answers:
            try:
                self._answers[path] = self._cluster.find(path)
            except ApiRefusal as refused:
                raise EnvironmentFault(
                    f"the cluster of context `{self._cluster.context}` refused to read {path} ({refused.reason})",
                    fix="Grant this identity read access to that path",
                ) from None
        return self._answers[path]


def _check_sign(reader: _CachedReader, pool: dict[str, Any], sign: dict[str, Any]) -> SignResult:
    count = 1 if sign.get("name") else int(sign["count"])
    values = [
        _value_at(sign_object, sign["path"]) if sign["path"] else "there"
        for sign_object in reader.objects(sign)
    ]
    right_values = [value for value in values if value is not None and sign["value"] in ("", value)]
    wrong_values = {
        value or "nothing" for value in values if value is None or sign["value"] not in ("", value)
    }
    if len(values) < count:
        wrong_values.add("nothing")
    selector = sign.get("name") or ", ".join(f"{key}={value}" for key, value in sign["labels"].items())
    if len(values) > count:
        # Too many objects are wrong too: another machine has the pool's label.
        wrong_values.add(f"{len(values)} objects")
    return SignResult(
        pool["name"],
        pool["site"],
        f"{sign['kind']} {sign['namespace'] + '/' if sign.get('namespace') else ''}{selector}",
        " › ".join(sign["path"]),
        sign["value"],
        count,
        len(right_values),
        tuple(sorted(wrong_values)),
    )


def _value_at(value: Any, path: list[str]) -> str | None:
    """The value at a path. In a list of conditions, a key selects the status of the condition of that type."""
    for key in path:
        if isinstance(value, list):
            value = next(
                (condition.get("status") for condition in value if condition.get("type") == key), None
            )
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return None if value is None else str(value)
