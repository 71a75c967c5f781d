"""A site's context must lead to the pinned cluster."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.kubernetes_client import ApiRefusal, KubeClient
from isthmus.engine.project import pins
from tests.blueprints import bank

UID = "5f0c6d0e-7f7a-4a53-9a3e-0c5f7e1d2b3c"
OTHER = "00000000-7f7a-4a53-9a3e-0c5f7e1d2b3c"


class FakeCluster(KubeClient):
    """A cluster whose namespace kube-system has this UID; None: it may not be read."""

    def __init__(self, uid: str | None, server: str = "https://fra1.bank.example:6443") -> None:
        super().__init__("fra1", server, None)
        self.uid, self.paths = uid, list[str]()

    def call(self, method: str, path: str, **_: Any) -> Any:
        self.paths.append(path)
        if self.uid is None:
            raise ApiRefusal(403, "forbidden")
        return {"metadata": {"uid": self.uid}}


def pinned(uid: str | None) -> Platform:
    platform = bank.platform()
    site = platform.sites[0].model_copy(update={"cluster_uid": uid})
    return platform.model_copy(update={"sites": [site, *platform.sites[1:]]})


def test_the_pinned_cluster_is_accepted():
    cluster = FakeCluster(UID)
    pins.check_clusters(pinned(UID), {"fra1": cluster})
    assert cluster.paths == ["/api/v1/namespaces/kube-system"]


def test_another_cluster_is_refused_with_both_uids_and_the_context():
    with pytest.raises(pins.WrongCluster) as raised:
        pins.check_clusters(pinned(UID), {"fra1": FakeCluster(OTHER)})
    message = str(raised.value)
    assert "sites[fra1].cluster_uid: the context `fra1` leads to the cluster " + OTHER in message
    assert f"but site fra1 is the cluster {UID}" in message


def test_a_cluster_that_does_not_say_which_it_is_is_no_match():
    with pytest.raises(ApiRefusal):
        pins.check_clusters(pinned(UID), {"fra1": FakeCluster(None)})


def test_a_site_without_a_pin_is_not_asked():
    cluster = FakeCluster(None)
    pins.check_clusters(pinned(None), {"fra1": cluster})
    assert cluster.paths == []


@pytest.mark.parametrize(
    ("server", "unpinned"),
    [
        ("https://fra1.bank.example:6443", ["fra1"]),
        ("https://127.0.0.1:6443", []),
        ("https://localhost", []),
        ("https://127.0.0.1.bank.example", ["fra1"]),
    ],
)
def test_only_clusters_on_the_loopback_need_no_pin(server: str, unpinned: list[str]):
    assert pins.unpinned_sites(pinned(None), {"fra1": FakeCluster(UID, server)}) == unpinned
    assert pins.unpinned_sites(pinned(UID), {"fra1": FakeCluster(UID, server)}) == []
