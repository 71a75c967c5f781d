"""Reads a cluster: its kinds by discovery, all objects of a namespace, or one object by name.

Lists request only metadata, so that the data of Secrets never leaves the API server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from isthmus.contracts.reports.drift import Unseen
from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import ApiRefusal, KubeClient

METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
PAGE = 500
_PARALLEL_CALLS = 8
_EXPIRED = 410
_METRIC_GROUPS = ("metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io")
"""API groups of metrics, which store no objects."""
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Kind:
    """One kind of objects that the API server serves."""

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
        """Pulumi's type token: `kubernetes:apps/v1:Deployment`."""
        return f"kubernetes:{self.group or 'core'}/{self.version}:{self.kind}"

    def path(self, namespace: str | None = None, name: str = "") -> str:
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        namespace_path = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{namespace_path}/{self.plural}" + (f"/{name}" if name else "")


@dataclass
class Live:
    """Reader of a live cluster."""

    cluster: KubeClient
    unseen: list[Unseen] = field(default_factory=list)
    """Objects and kinds that could not be read."""
    kinds: list[Kind] = field(default_factory=list)
    _by_kind: dict[tuple[str, str], Kind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kinds = self._discovered()
        for kind in self.kinds:
            self._by_kind.setdefault((kind.group, kind.kind), kind)
            self._by_kind[kind.api_version, kind.kind] = kind

    def kind(self, api_version: str, kind: str) -> Kind | None:
        """The served kind, if needed in another version of its group; None if it is not served."""
        group = api_version.rpartition("/")[0]
        return self._by_kind.get((api_version, kind)) or self._by_kind.get((group, kind))

    def one(
        self, kind: Kind, namespace: str | None, name: str, *, full: bool = True
    ) -> dict[str, Any] | None:
        """An object, or only its metadata; None if it does not exist. Raises `ApiRefusal`."""
        path = kind.path(namespace, name)
        return self.cluster.find(path, accept="application/json" if full else METADATA)

    def objects(self, namespaces: Iterable[str]) -> list[tuple[Kind, dict[str, Any]]]:
        """Kind and metadata of all objects in these namespaces, ordered by namespace and kind."""
        queries = [
            (kind, namespace)
            for namespace in sorted(namespaces)
            for kind in self.kinds
            if kind.namespaced and kind.listed
        ]

        def list_query(query: tuple[Kind, str]) -> list[tuple[Kind, dict[str, Any]]]:
            kind, namespace = query
            return [(kind, metadata) for metadata in self.listed(kind, namespace)]

        return [listed_object for answer in self.each(list_query, queries) for listed_object in answer]

    def listed(self, kind: Kind, namespace: str | None, *, full: bool = False) -> list[dict[str, Any]]:
        """All objects of a kind in a namespace. If listing is refused, returns nothing and notes it in `unseen`."""
        accept = "application/json" if full else METADATA_LIST
        for _ in range(3):
            try:
                return self._pages(kind, namespace, accept)
            except ApiRefusal as refused:
                # The continue token expired because the list changed; start again.
                if refused.status != _EXPIRED:
                    self._refused(kind.plural, namespace, refused)
                    return []
        self.unseen.append(self._unseen(kind.plural, namespace, "its list changed during every read"))
        return []

    def each(self, ask: Callable[[T], R], queries: Iterable[T]) -> list[R]:
        """Run `ask` for all queries in parallel; answers are in the order of the queries."""
        with ThreadPoolExecutor(_PARALLEL_CALLS) as pool:
            return list(pool.map(ask, queries))

    def _pages(self, kind: Kind, namespace: str | None, accept: str) -> list[dict[str, Any]]:
        objects: list[dict[str, Any]] = []
        continue_token = ""
        while True:
            params = {"limit": str(PAGE)} | ({"continue": continue_token} if continue_token else {})
            answer = self.cluster.get(kind.path(namespace), params=params, accept=accept)
            objects += answer.get("items") or []
            continue_token = (answer.get("metadata") or {}).get("continue") or ""
            if not continue_token:
                return objects

    def _discovered(self) -> list[Kind]:
        try:
            groups = self.cluster.get("/apis")["groups"]
        except ApiRefusal as refused:
            raise EnvironmentFault(
                f"the cluster of context `{self.cluster.context}` refused API discovery ({refused.reason})",
                fix="Check the credentials in the kubeconfig",
            ) from None
        versions = [("", "v1")]
        for group in groups:
            if group["name"] in _METRIC_GROUPS:
                continue
            preferred = group.get("preferredVersion", {}).get("version")
            served = [version["version"] for version in group["versions"]]
            versions += [
                (group["name"], version)
                for version in sorted(served, key=lambda version: (version != preferred, version))
            ]

        def read(group_version: tuple[str, str]) -> list[dict[str, Any]]:
            group, version = group_version
            path = f"/apis/{group}/{version}" if group else f"/api/{version}"
            try:
                return self.cluster.get(path).get("resources") or []
            except ApiRefusal as refused:
                # An aggregated API whose server does not answer.
                self._refused(f"kinds of {group}/{version}", None, refused)
                return []

        kinds: dict[tuple[str, str], Kind] = {}
        for (group, version), resources in zip(versions, self.each(read, versions), strict=True):
            for resource in resources:
                if "/" not in resource["name"]:
                    verbs = resource.get("verbs") or []
                    kind = Kind(
                        group,
                        version,
                        resource["kind"],
                        resource["name"],
                        bool(resource.get("namespaced")),
                        "list" in verbs,
                    )
                    kinds.setdefault((group, kind.plural), kind)
        return list(kinds.values())

    def _refused(self, subject: str, namespace: str | None, refused: ApiRefusal) -> None:
        if refused.status == 401:
            raise EnvironmentFault(
                f"the cluster of context `{self.cluster.context}` rejected the credentials ({refused.reason})",
                fix="Check the credentials in the kubeconfig",
            )
        if refused.status not in (404, 405):
            self.unseen.append(self._unseen(subject, namespace, refused.reason))

    def _unseen(self, subject: str, namespace: str | None, why: str) -> Unseen:
        where = f"{self.cluster.context}, namespace {namespace}" if namespace else self.cluster.context
        return Unseen(what=subject, where=where, why=why)
