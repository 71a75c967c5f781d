"""Network policies as rules of nftables in the router's namespace, sent over netlink, and what they have refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyroute2.nftables.main import NFTables

from tests.fences import expressions as ex
from tests.fences.namespaces import Network
from tests.fences.policies import Closed, Opening

TABLE, FORWARD = "policies", "forward"
INET = 1
"""The family of both versions of IP."""


class Fence:
    """The rules of one network. Without them everything is forwarded."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._standing = False

    def build(self, closed: Mapping[str, Closed]) -> None:
        """In place of those that stand. A pod's two chains decide at its own end of the link, as a cluster's do."""
        self.remove()
        with self._netlink() as nft:
            nft.table("add", name=TABLE)
            nft.chain("add", table=TABLE, name=FORWARD, hook="forward", type="filter", policy=ex.ACCEPT)
            _add(nft, FORWARD, ex.answers(), ex.verdict(ex.ACCEPT))
            # Who sends is asked before who is sent to: a refusal is counted where it must come from.
            for name, pod in closed.items():
                link = self._network.links[name]
                self._direction(nft, f"out-{link}", ex.interface(ex.IN, link), pod.egress, ex.TARGET)
            for name, pod in closed.items():
                link = self._network.links[name]
                self._direction(nft, f"in-{link}", ex.interface(ex.OUT, link), pod.ingress, ex.SOURCE)
        self._standing = True

    def _direction(
        self, nft: Any, chain: str, match: ex.Expressions, opened: tuple[Opening, ...] | None, where: int
    ) -> None:
        if opened is None:
            return
        nft.chain("add", table=TABLE, name=chain)
        for opening in opened:
            _add(nft, chain, _matching(opening, where), ex.verdict(ex.RETURN))
        _add(nft, chain, ex.count(), ex.refuse())
        _add(nft, FORWARD, match, ex.verdict(ex.JUMP, chain))

    def remove(self) -> None:
        """Open to all."""
        if self._standing:
            with self._netlink() as nft:
                nft.table("del", name=TABLE)
            self._standing = False

    def refused(self, host: str, direction: str) -> int:
        """Packets that a host's rules have refused since they were built; `direction` is `in` or `out`."""
        chain = f"{direction}-{self._network.links[host]}"
        with self._netlink() as nft:
            counts = [
                expression.get_attr("NFTA_EXPR_DATA").get_attr("NFTA_COUNTER_PACKETS")
                for rule in nft.get_rules()
                if rule.get_attr("NFTA_RULE_CHAIN") == chain
                for expression in rule.get_attr("NFTA_RULE_EXPRESSIONS")
                if expression.get_attr("NFTA_EXPR_NAME") == "counter"
            ]
        (count,) = counts
        return count

    def _netlink(self) -> NFTables:
        # The socket speaks for the namespace in which it was made.
        with self._network.router.entered():
            return NFTables(nfgen_family=INET)


def _add(nft: Any, chain: str, *parts_of_rule: ex.Expressions) -> None:
    nft.rule("add", table=TABLE, chain=chain, expressions=parts_of_rule)


def _matching(opening: Opening, where: int) -> ex.Expressions:
    address: ex.Expressions = ex.address(where, opening.cidr)
    for excepted in opening.excepts:
        address += ex.address(where, excepted, within=False)
    if opening.protocol is not None:
        address += ex.protocol(opening.protocol)
    if opening.ports is not None:
        address += ex.ports(*opening.ports)
    return address
