"""One rendered site in network namespaces for all tests of the fences; skipped where the machine cannot make them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from tests.fences.namespaces import Network
from tests.fences.rendered_site import Site
from tests.fences.rules import Fence
from tests.graders import examples, manifests
from tests.laying import lay

STACK, SITE = "bank-dev", "fra1"


@pytest.fixture(scope="session")
def allowed_to() -> None:
    """Namespaces and packet filters are made by root only, and by a kernel that has nf_tables."""
    try:
        network = Network({})
        Fence(network).build({})
        network.close()
    except (OSError, NetlinkError) as error:
        pytest.skip(f"the fences were not tried: it takes root and a kernel with nf_tables ({error})")


@pytest.fixture(scope="session")
def site(allowed_to: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The bank's on-prem site, with its fences standing."""
    folder = tmp_path_factory.mktemp("fences")
    lay(folder, bank=True)
    rendering = examples.render_example(STACK, folder, folder / "out")
    bodies = manifests.read(sorted((rendering.folder / "kubernetes" / SITE).glob("*/*.yaml")))
    fenced_site = Site(bodies, rendering.platform, SITE)
    try:
        fenced_site.fence_in()
        yield fenced_site
    finally:
        fenced_site.close()
