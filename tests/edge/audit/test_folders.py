"""A process that may not write its folder of the share fails at start. The error names the owner and the fix."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from edge.audit import folders
from edge.config import EnvironmentFault

GATEWAY, SEALER = 2000, 2001


def _look(folder: Path, user: int, groups: list[int], answer: Any) -> None:
    """Check the folder in a process with the pod's user and groups."""
    os.setgroups(groups)
    os.setgid(0)
    os.setuid(user)
    try:
        folders.require_writable(folder, "audit.records")
        answer.put("")
    except EnvironmentFault as fault:
        answer.put(str(fault))


def look(folder: Path, user: int, groups: list[int] | None = None) -> str:
    context = multiprocessing.get_context("fork")
    answer: Any = context.Queue()
    child = context.Process(target=_look, args=(folder, user, groups or [user], answer))
    child.start()
    message = answer.get(timeout=20)
    child.join(20)
    return message


@pytest.fixture
def share(tmp_path: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("only root can start a process as another user")
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    for name, owner in (("records", GATEWAY), ("seals", SEALER)):
        (tmp_path / name).mkdir(mode=0o755)
        os.chown(tmp_path / name, owner, 0)
    return tmp_path


def test_each_writes_its_own_folder_and_not_the_other_s(share: Path) -> None:
    assert look(share / "records", GATEWAY) == ""
    assert look(share / "seals", SEALER) == ""
    assert "may not write" in look(share / "seals", GATEWAY)
    assert "may not write" in look(share / "records", SEALER)
    assert list(share.glob("*/*")) == [], "the trial leaves nothing"


def test_a_folder_that_kubelet_made_is_told_with_its_owner_and_the_command(share: Path) -> None:
    os.chown(share / "records", 0, 0)
    message = look(share / "records", GATEWAY)
    assert message.startswith(
        f"audit.records: user 2000 (groups 0, 2000) may not write the folder {share}/records"
    )
    assert "belongs to user 0 and group 0 with mode 755" in message
    assert "run `chown 2000 records`" in message


def test_a_group_of_the_share_lets_its_own_pod_write_and_no_other(share: Path) -> None:
    """NFS with root squashed, where an administrator gives folders to groups and not to users."""
    for name, group in (("records", GATEWAY), ("seals", SEALER)):
        os.chown(share / name, 65534, group)
        (share / name).chmod(0o2775)
    assert look(share / "records", GATEWAY) == look(share / "seals", SEALER) == ""
    assert look(share / "seals", GATEWAY)
    assert look(share / "records", SEALER)


def test_what_may_pass_is_left_to_who_writes(tmp_path: Path) -> None:
    folders.require_writable(tmp_path / "not-there-yet", "audit.records")
