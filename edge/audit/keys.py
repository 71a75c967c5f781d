"""Content keys: one for each subject and day, wrapped. To destroy a key is to erase the content under it.

    FOLDER/2026-11-26/<subject>.30d.key  32 random bytes under AES-GCM with the wrapping key, destroyed after 30 days
    FOLDER/holds/<subject>.json          a legal hold: nothing of the subject's is destroyed

Keep the folder on a volume without snapshots and backups, because a copy of a key is a key. Files are overwritten
before they are deleted. Disks that write elsewhere keep the old bytes, but those are useless without the wrapping
key. Change the wrapping key before you give the disk away.
"""

from __future__ import annotations

import datetime
import os
import re
import secrets
from pathlib import Path
from typing import Any

from edge.audit.chain_files import now, sync_folder
from edge.audit.records import canonical, parse

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NAME = re.compile(r"[ur]-[0-9a-f]{32}\.[1-9][0-9]{0,3}d")
_SUBJECT = re.compile(r"[ur]-[0-9a-f]{32}|all")
"""A user (HMAC), a request without one, or everybody."""
_HOLDS = "holds"


class LegalHold(Exception):
    """A legal hold forbids the destruction of a key."""


def read_key(path: Path) -> bytes:
    """A 32-byte key from a file of 64 hexadecimal digits. Raises OSError or ValueError."""
    text = path.read_text(encoding="ascii").strip()
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError("it must hold 64 hexadecimal digits (`openssl rand -hex 32`)")
    return bytes.fromhex(text)


class Keys:
    """The folder of content keys of one class at one site."""

    def __init__(self, folder: Path, wrapping_key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.folder, self._wrap = folder, AESGCM(wrapping_key)

    def of(self, name: str, day: str) -> bytes:
        """The key of this name and day, created if missing. Raises OSError, or ValueError if it is damaged."""
        path = self._path(name, day)
        try:
            return self._open(path)
        except FileNotFoundError:
            pass
        key, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
        wrapped = nonce + self._wrap.encrypt(nonce, key, f"{day}/{name}".encode())
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            os.write(descriptor, wrapped)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(fresh, path)  # fails if another gateway was first; then its key is used
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        sync_folder(path.parent)
        sync_folder(self.folder)
        return self._open(path)

    def find(self, name: str, day: str) -> bytes | None:
        """The key, or None if it was destroyed."""
        try:
            return self._open(self._path(name, day))
        except FileNotFoundError:
            return None

    def _open(self, path: Path) -> bytes:
        from cryptography.exceptions import InvalidTag

        data = path.read_bytes()
        try:
            return self._wrap.decrypt(data[:12], data[12:], f"{path.parent.name}/{path.stem}".encode())
        except InvalidTag:
            raise ValueError(f"{path}: the key is damaged, or the wrapping key is another one") from None

    def _path(self, name: str, day: str) -> Path:
        if not _NAME.fullmatch(name) or not _DAY.fullmatch(day):
            raise ValueError(f"{name!r} on {day!r} names no key")
        return self.folder / day / f"{name}.key"


def hold(folder: Path, subject: str, by: str, reason: str) -> None:
    """Suspend the destruction of a subject's keys (`all`: of every key)."""
    if not _SUBJECT.fullmatch(subject):
        raise ValueError(f"{subject!r} names no subject")
    holds_folder = folder / _HOLDS
    holds_folder.mkdir(parents=True, exist_ok=True)
    fresh = holds_folder / f"{subject}.new"
    fresh.write_bytes(canonical({"subject": subject, "by": by, "reason": reason, "since": now()}))
    fresh.rename(holds_folder / f"{subject}.json")
    sync_folder(holds_folder)


def release(folder: Path, subject: str) -> bool:
    """End a hold. Returns whether there was one."""
    try:
        (folder / _HOLDS / f"{subject}.json").unlink()
    except FileNotFoundError:
        return False
    sync_folder(folder / _HOLDS)
    return True


def holds(folder: Path) -> dict[str, dict[str, Any]]:
    """The holds by subject. A hold that cannot be read counts as a hold of `all`."""
    hold_by_subject: dict[str, dict[str, Any]] = {}
    for path in sorted((folder / _HOLDS).glob("*.json")):
        try:
            hold = parse(path.read_bytes())
            hold_by_subject[path.stem] = {key: str(hold[key]) for key in ("by", "since", "reason")}
        except Exception:  # noqa: BLE001  an unreadable hold must not lead to destruction
            hold_by_subject["all"] = {"by": "?", "reason": f"{path} cannot be read", "since": "?"}
    return hold_by_subject


def require_no_hold(folder: Path, subject: str) -> None:
    """Raise LegalHold if the subject's keys must not be destroyed."""
    hold_by_subject = holds(folder)
    for name in (subject, "all"):
        if name in hold_by_subject:
            by, since, reason = (hold_by_subject[name][key] for key in ("by", "since", "reason"))
            raise LegalHold(f"a legal hold of {by} since {since}: {reason}")


def erase(folder: Path, subject: str) -> int:
    """Destroy every key of a subject and return their number. Raises LegalHold."""
    require_no_hold(folder, subject)
    paths = [path for path in folder.glob("*/*.key") if _subject(path) == subject]
    for path in paths:
        _destroy(path)
    return len(paths)


def expire(folder: Path, today: datetime.date) -> int:
    """Destroy expired keys that no hold protects, and return their number."""
    hold_by_subject, count = holds(folder), 0
    if "all" in hold_by_subject:
        return 0
    for day in sorted(path for path in folder.iterdir() if path.is_dir() and _DAY.fullmatch(path.name)):
        age = (today - datetime.date.fromisoformat(day.name)).days
        for path in day.glob("*.key"):
            if age > _retention_days(path) and _subject(path) not in hold_by_subject:
                _destroy(path)
                count += 1
        if age > 1 and not any(day.iterdir()):
            day.rmdir()
    return count


def _subject(path: Path) -> str:
    return path.stem.partition(".")[0]


def _retention_days(path: Path) -> int:
    return int(path.stem.partition(".")[2].removesuffix("d"))


def _destroy(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.write(secrets.token_bytes(path.stat().st_size))
        stream.flush()
        os.fsync(stream.fileno())
    path.unlink()
    sync_folder(path.parent)
