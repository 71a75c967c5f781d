"""A process without write access to its folder of the share reports the owner and the fix at start."""

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


def check_folder(folder: Path, user: int, groups: list[int] | None = None) -> str:
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


def test_gateway_and_sealer_may_write_only_their_own_folder(share: Path) -> None:
    assert check_folder(share / "records", GATEWAY) == ""
    assert check_folder(share / "seals", SEALER) == ""
    assert "may not write" in check_folder(share / "seals", GATEWAY)
    assert "may not write" in check_folder(share / "records", SEALER)
    assert list(share.glob("*/*")) == [], "the trial leaves nothing"


def test_a_folder_owned_by_root_is_reported_with_the_chown_command(share: Path) -> None:
    os.chown(share / "records", 0, 0)
    message = check_folder(share / "records", GATEWAY)
    assert message.startswith(
        f"audit.records: user 2000 (groups 0, 2000) may not write the folder {share}/records"
    )
    assert "belongs to user 0 and group 0 with mode 755" in message
    assert "run `chown 2000 records`" in message


def test_a_supplementary_group_lets_only_its_own_pod_write(share: Path) -> None:
    """NFS with root squash, where an administrator gives folders to groups instead of users."""
    for name, group in (("records", GATEWAY), ("seals", SEALER)):
        os.chown(share / name, 65534, group)
        (share / name).chmod(0o2775)
    assert check_folder(share / "records", GATEWAY) == check_folder(share / "seals", SEALER) == ""
    assert check_folder(share / "seals", GATEWAY)
    assert check_folder(share / "records", SEALER)


def test_a_missing_folder_passes_the_check(tmp_path: Path) -> None:
    folders.require_writable(tmp_path / "not-there-yet", "audit.records")
