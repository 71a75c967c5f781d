"""Checks at start that a process may write its folder of the share, and reports the folder's owner if not.

The gateway writes folder `records`, the sealer folder `seals`. Kubelet creates a missing `subPath` folder as root,
and on NFS with root squash no pod can change that. Without this check each record would fail without a reason.
"""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from edge.config import EnvironmentFault


def require_writable(folder: Path, key: str) -> None:
    """Raise `EnvironmentFault` where this process may not make files in its folder.

    `key`: the setting that names the folder. Other faults (a full disk, a share that does not answer) may be temporary
    and are left to the writer.
    """
    trial = folder / f".start-{secrets.token_hex(8)}"
    try:
        trial.mkdir()
        trial.rmdir()
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM):
            return
        raise EnvironmentFault(f"{key}: {_describe_owner(folder)}") from None


def _describe_owner(folder: Path) -> str:
    user, groups = os.geteuid(), ", ".join(str(group) for group in sorted({os.getegid(), *os.getgroups()}))
    problem = f"user {user} (groups {groups}) may not write the folder {folder}"
    fix = (
        f"Fix: on the share, as its owner, run `chown {user} {folder.name}`, or `chgrp {user} {folder.name} && chmod "
        f"g+rwx {folder.name}`: a pod has its user's number as a group too, and no fsGroup changes a share."
    )
    try:
        folder_stat = folder.stat()
    except OSError as error:
        return f"{problem} ({error.strerror}). {fix}"
    mode = f"{folder_stat.st_mode & 0o7777:o}"
    owner = f"user {folder_stat.st_uid} and group {folder_stat.st_gid}"
    return f"{problem}, which belongs to {owner} with mode {mode}. {fix}"
