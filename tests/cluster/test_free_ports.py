"""Free ports for programs that have not started yet."""

from __future__ import annotations

import os

import pytest

from sandbox.cluster import kwok


def test_a_process_does_not_give_a_port_twice_while_its_program_may_still_be_starting() -> None:
    values = [port for _ in range(100) for port in kwok.free_ports(3)]
    assert len({*values}) == len(values)


def test_processes_take_ports_of_their_own_parts_of_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = []
    for pid in (1600, 1601):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        parts.append({*kwok.free_ports(50)})
    assert not parts[0] & parts[1]
    assert {port % 16 for port in parts[0]} == {20000 % 16}
