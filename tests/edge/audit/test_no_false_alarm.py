"""Honest gateways and sealers never cause a finding: in any order, with crashes and failing stores."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.audit.chain_files import Writer, record_files
from edge.audit.seal_format import Signer
from edge.audit.seal_status import SealWatch, delete_sealed_files
from edge.audit.sealer import Sealer
from edge.audit.stores import FolderStore, StoreFault
from tests.edge.audit.harness import AuditSite, close, exchange, intent, write


class FailingStore(FolderStore):
    """A store that fails on request, before or after it has written."""

    fail = ""

    def put(self, name: str, data: bytes, keep_days: int) -> None:
        if self.fail == "before":
            raise StoreFault("down")
        super().put(name, data, keep_days)
        if self.fail == "after":
            raise StoreFault("its answer was lost")


@dataclass
class World:
    """A class at a site, and the records that were written there."""

    audit_site: AuditSite
    store: FailingStore
    sealer: Sealer
    living: list[Writer] = field(default_factory=list)
    written: int = 0
    under_way: set[str] = field(default_factory=set)
    names: int = 0

    def name(self) -> str:
        self.names += 1
        return f"r{self.names}"

    def begin(self) -> None:
        self.living.append(self.audit_site.writer(f"gw-{len(self.living)}", rotate_bytes=1500))
        self.written += 1

    def ask(self, index: int) -> None:
        if self.living:
            exchange(self.living[index % len(self.living)], self.name())
            self.written += 2

    def hang(self, index: int) -> None:
        if self.living:
            name = self.name()
            write(self.living[index % len(self.living)], ("intent", intent(name)))
            self.under_way.add(name)
            self.written += 1

    def crash(self, index: int) -> None:
        if self.living:
            writer = self.living.pop(index % len(self.living))
            with record_files(writer.folder)[-1][1].open("ab") as stream:
                stream.write(b'{"kind":"inte'[: index % 14])
            writer.give_up()

    def end(self, index: int) -> None:
        if self.living:
            close(self.living.pop(index % len(self.living)))
            self.written += 1

    def seal(self, index: int) -> None:
        self.store.fail = ["", "", "", "before", "after"][index % 5]
        try:
            self.sealer.seal(allow_empty=index % 2 == 0)
        except StoreFault:
            self.store.fail = ""
            self.sealer.restore()
        self.store.fail = ""

    def restart(self) -> None:
        self.sealer = self.audit_site.sealer(self.store)

    def clear(self, index: int) -> None:
        watch = SealWatch(self.audit_site.seals, Signer(self.audit_site.private).public)
        watch.look()
        current_name = self.living[index % len(self.living)].folder.name if self.living else ""
        delete_sealed_files(self.audit_site.records, current_name, watch, keep_s=-1)


STEPS = st.tuples(
    st.sampled_from(["begin", "ask", "ask", "hang", "crash", "end", "seal", "seal", "restart", "clear"]),
    st.integers(0, 59),
)


# An example is some hundred disk writes, so a quarter of the profile's number is run.
@settings(max_examples=max(10, settings().max_examples // 4))
@given(st.lists(STEPS, min_size=3, max_size=25))
def test_honest_gateways_and_sealers_cause_no_finding_and_lose_no_record(steps: list[tuple[str, int]]):
    root = Path(tempfile.mkdtemp())
    try:
        audit_site = AuditSite.at(root)
        store = FailingStore(root / "store")
        world = World(audit_site, store, audit_site.sealer(store))
        for step, index in [("begin", 0), *steps]:
            act = getattr(world, step)
            act() if step in ("begin", "restart") else act(index)
        world.restart()
        world.sealer.seal(allow_empty=True)
        proof = audit_site.verify(store, records=audit_site.records, seals=audit_site.seals)
        assert proof.findings == []
        assert (proof.records, proof.tail) == (world.written, {})
        assert set(proof.unfinished) == world.under_way
        for writer in world.living:
            writer.give_up()
    finally:
        shutil.rmtree(root)
