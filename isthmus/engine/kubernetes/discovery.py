"""What stands in a cluster: its kinds by discovery, the objects of a namespace page by page, one object by its name.

Of what is listed only the metadata is asked for, so that no Secret's data ever leaves the API server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from isthmus.contracts.reports.drift import Unseen
from isthmus.core.errors import EnvironmentFault
from isthmus.engine.kubernetes.client import ApiRefusal, Cluster

METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
PAGE = 500
_AT_ONCE = 8
_EXPIRED = 410
_NO_STORE = ("metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io")
"""Groups whose objects are figures: nothing is kept there."""
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Kind:
    """One kind that the API server serves."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    listed: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def type(self) -> str:
        """As Pulumi calls it: `kubernetes:apps/v1:Deployment`."""
        return f"kubernetes:{self.group or 'core'}/{self.version}:{self.kind}"

    def path(self, namespace: str | None = None, name: str = "") -> str:
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        space = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{space}/{self.plural}" + (f"/{name}" if name else "")


@dataclass
class Live:
    """A cluster, looked at."""

    cluster: Cluster
    unseen: list[Unseen] = field(default_factory=list)
    """What we were not let see."""
    kinds: list[Kind] = field(default_factory=list)
    _by_kind: dict[tuple[str, str], Kind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kinds = self._discovered()
        for each in self.kinds:
            self._by_kind.setdefault((each.group, each.kind), each)
            self._by_kind[each.api_version, each.kind] = each

    def kind(self, api_version: str, kind: str) -> Kind | None:
        """As it is served, in another version where it must be; None where the server has no such kind."""
        group = api_version.rpartition("/")[0]
        return self._by_kind.get((api_version, kind)) or self._by_kind.get((group, kind))

    def one(
        self, kind: Kind, namespace: str | None, name: str, *, whole: bool = True
    ) -> dict[str, Any] | None:
        """An object, or its metadata; None where there is none. Raises `ApiRefusal`."""
        path = kind.path(namespace, name)
        return self.cluster.find(path, accept="application/json" if whole else METADATA)

    def objects(self, namespaces: Iterable[str]) -> list[tuple[Kind, dict[str, Any]]]:
        """The metadata of all that stands in these namespaces, by namespace, kind and name."""
        asked = [
            (kind, space)
            for space in sorted(namespaces)
            for kind in self.kinds
            if kind.namespaced and kind.listed
        ]

        def listed(each: tuple[Kind, str]) -> list[tuple[Kind, dict[str, Any]]]:
            kind, space = each
            return [(kind, one) for one in self.listed(kind, space)]

        return [one for each in self.each(listed, asked) for one in each]

    def listed(self, kind: Kind, namespace: str | None, *, whole: bool = False) -> list[dict[str, Any]]:
        """All of a kind in a namespace; nothing, and a word of it, where we may not list them."""
        accept = "application/json" if whole else METADATA_LIST
        for _ in range(3):
            try:
                return self._pages(kind, namespace, accept)
            except ApiRefusal as refused:
                # A list that changes while it is read ends so; it begins anew.
                if refused.status != _EXPIRED:
                    self._refused(kind.plural, namespace, refused)
                    return []
        self.unseen.append(self._unseen(kind.plural, namespace, "it changes faster than it can be read"))
        return []

    def each(self, how: Callable[[T], R], over: Iterable[T]) -> list[R]:
        """Several questions at once, the answers in the order of the questions."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(how, over))

    def _pages(self, kind: Kind, namespace: str | None, accept: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more = ""
        while True:
            params = {"limit": str(PAGE)} | ({"continue": more} if more else {})
            answer = self.cluster.call(
                "GET", kind.path(namespace), params=params, accept=accept, timeout=30.0
            )
            found += answer.get("items") or []
            more = (answer.get("metadata") or {}).get("continue") or ""
            if not more:
                return found

    def _discovered(self) -> list[Kind]:
        try:
            groups = self.cluster.call("GET", "/apis")["groups"]
        except ApiRefusal as refused:
            raise EnvironmentFault(
                f"the cluster of context `{self.cluster.context}` refuses to be asked what there is ({refused})",
                fix="Check the credentials in the kubeconfig",
            ) from None
        versions = [("", "v1")]
        for group in groups:
            if group["name"] in _NO_STORE:
                continue
            preferred = group.get("preferredVersion", {}).get("version")
            served = [each["version"] for each in group["versions"]]
            versions += [
                (group["name"], each) for each in sorted(served, key=lambda one: (one != preferred, one))
            ]

        def read(each: tuple[str, str]) -> list[dict[str, Any]]:
            group, version = each
            path = f"/apis/{group}/{version}" if group else f"/api/{version}"
            try:
                return self.cluster.call("GET", path).get("resources") or []
            except ApiRefusal as refused:
                # A group that another server answers for, and does not.
                self._refused(f"kinds of {group}/{version}", None, refused)
                return []

        found: dict[tuple[str, str], Kind] = {}
        for (group, version), resources in zip(versions, self.each(read, versions), strict=True):
            for one in resources:
                if "/" not in one["name"]:
                    verbs = one.get("verbs") or []
                    kind = Kind(
                        group, version, one["kind"], one["name"], bool(one.get("namespaced")), "list" in verbs
                    )
                    found.setdefault((group, kind.plural), kind)
        return list(found.values())

    def _refused(self, what: str, namespace: str | None, refused: ApiRefusal) -> None:
        if refused.status == 401:
            raise EnvironmentFault(
                f"the cluster of context `{self.cluster.context}` does not know us ({refused})",
                fix="Check the credentials in the kubeconfig",
            )
        if refused.status not in (404, 405):
            self.unseen.append(self._unseen(what, namespace, str(refused)))

    def _unseen(self, what: str, namespace: str | None, why: str) -> Unseen:
        where = f"{self.cluster.context}, namespace {namespace}" if namespace else self.cluster.context
        return Unseen(what=what, where=where, why=why)
