"""Programs from a Debian package, in the cache: Prometheus and promtool.

apt fetches a package from the mirrors that this machine uses; its checksum is pinned here. The package is unpacked, not
installed: nothing of it runs but its programs. On another system than Debian 12 on x86-64, put the programs on PATH.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from isthmus.core.errors import EnvironmentFault
from sandbox.toolchain import cache, commands


@dataclass(frozen=True)
class DebianPackage:
    """A package of Debian 12 (bookworm) for x86-64."""

    name: str
    version: str
    sha256: str
    programs: tuple[str, ...]
    purpose: str
    libraries: tuple[str, ...] = ()
    """Files of it that others load, by their path in the package."""

    @property
    def folder(self) -> Path:
        """Where its files are or will be."""
        return cache.root() / f"debian-{self.name}-{self.sha256[:8]}-{cache.machine()}"

    def program(self, name: str) -> Path | None:
        """A program of it, on PATH or in the cache. None if there is none."""
        if (found := shutil.which(name)) is not None:
            return Path(found)
        path = self.folder / "usr" / "bin" / name
        return path if path.exists() else None

    def install(self) -> float:
        """Fetch and unpack it, unless its programs are there. Returns the seconds that it took.

        Raises `EnvironmentFault` if apt cannot get this version or the checksum differs.
        """
        began = time.monotonic()
        with cache.exclusive(self.folder, f"another run is installing {self.name}; waiting for it", print):
            if self._is_installed():
                return 0.0
            with cache.fill_folder(self.folder) as filling:
                self._run(["apt-get", "--quiet", "download", f"{self.name}={self.version}"], filling)
                [file] = filling.glob("*.deb")
                if (digest := hashlib.sha256(file.read_bytes()).hexdigest()) != self.sha256:
                    raise EnvironmentFault(
                        f"{self._problem}: its SHA-256 is {digest}, and not {self.sha256}", fix=self._fix
                    )
                self._run(["dpkg-deb", "-x", file.name, "."], filling)
                file.unlink()
        return time.monotonic() - began

    def _is_installed(self) -> bool:
        return all(self.program(name) is not None for name in self.programs) and all(
            (self.folder / name).exists() for name in self.libraries
        )

    def _run(self, command: list[str], folder: Path) -> None:
        commands.run(command, self._problem, cwd=folder, fix=self._fix)

    @property
    def _problem(self) -> str:
        return f"the Debian package {self.name} {self.version} could not be fetched"

    @property
    def _fix(self) -> str:
        return f"On Debian 12 run `apt-get update`, elsewhere put these programs on PATH: {', '.join(self.programs)}"


PROMETHEUS = DebianPackage(
    "prometheus",
    "2.42.0+ds-5+deb12u1",
    "81d59a24fce84f7fbe97a45a4f2914b6a5881b5cd1db2a6a0e129e515e1a5f55",
    ("prometheus", "promtool"),
    "reads metrics and evaluates rules; `isthmus sandbox serve --metrics` and tests of alerts need it",
)

PACKAGES = (PROMETHEUS,)
