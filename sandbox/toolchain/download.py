"""Downloads official releases of tools into the cache. No other module downloads programs.

The table of tools names the files. Each tool gets a folder of its own, which appears complete or not at all.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import platform
import tarfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from isthmus.core.errors import EnvironmentFault, InputError
from sandbox.toolchain import cache, scripts
from sandbox.toolchain.progress import Progress
from sandbox.toolchain.table import ENGINE, Release, Tool

MIRROR = "ISTHMUS_RELEASES"
"""Environment variable with the address of a mirror: `https://HOST/PATH` is asked at `$ISTHMUS_RELEASES/HOST/PATH`."""
PROBE_S = 2.0
SILENCE_S = 30.0
"""A download fails if no byte arrives for so long."""
SECURE = ("https://", "http://127.0.0.1:")
CHUNK = 1 << 20


def is_offered(tool: Tool) -> bool:
    """Whether a tool's publisher offers it for this machine."""
    return bool(tool.releases) and all(release.url for release in tool.releases)


def unreachable(tools: list[Tool]) -> str | None:
    """Ask the publishers of these tools for an answer within two seconds. Returns None or the address without one."""
    urls = [release.url for tool in tools for release in tool.releases if release.url]
    hosts = {urlsplit(url).netloc: _mirrored(url) for url in urls}
    answered: set[str] = set()

    def ask(url: str) -> None:
        try:
            with _open(url, PROBE_S, "HEAD"):
                answered.add(url)
        except urllib.error.HTTPError:  # what is wrong there, the download says
            answered.add(url)
        except (OSError, http.client.HTTPException):
            pass

    threads = [threading.Thread(target=ask, args=(url,), daemon=True) for url in hosts.values()]
    deadline = time.monotonic() + PROBE_S
    for thread in threads:
        thread.start()
    for thread in threads:  # looking up a name may take longer than any timeout
        thread.join(max(0.0, deadline - time.monotonic()))
    return next((url for url in hosts.values() if url not in answered), None)


def fetch(tool: Tool, progress: Progress) -> None:
    """Download a tool into the cache, unless it is there.

    Raises:
        EnvironmentFault: a file cannot be downloaded, is damaged, or lacks a program. Nothing of the tool is left.
    """
    target = cache.release_folder(tool)
    if tool.package is None:
        fetch(ENGINE, progress)
    with cache.exclusive(
        target, f"another install is downloading {tool.name}; waiting for it", progress.note
    ):
        if target.exists():
            return
        with cache.fill_folder(target) as folder:
            programs = folder / "bin"
            programs.mkdir()
            if tool.package is None:
                scripts.write_host(programs, cache.release_folder(ENGINE) / "bin" / scripts.EXEC)
                return
            for release in tool.releases:
                _fetch_release(tool, release, programs, progress)


def _fetch_release(tool: Tool, release: Release, programs: Path, progress: Progress) -> None:
    address = _mirrored(str(release.url))
    name = address.rpartition("/")[2]
    progress.note(f"downloading {name} for {tool.name}")
    algorithm, expected = _expected_digest(release, name)
    digest = hashlib.new(algorithm)
    saved = programs / name
    with saved.open("wb") as file:
        for chunk in _read(address, progress):
            file.write(chunk)
            digest.update(chunk)
    if expected and digest.hexdigest() != expected:
        raise _fault(
            address, f"its {algorithm.upper()} is {digest.hexdigest()}, its publisher states {expected}"
        )
    if name.endswith(".tar.gz"):
        _unpack(saved, address, release.programs)
        saved.unlink()
    else:
        saved.rename(programs / release.programs[0])
    for program in release.programs:
        (programs / program).chmod(0o755)


def _expected_digest(release: Release, name: str) -> tuple[str, str | None]:
    """The algorithm and the digest that a file must have. None: its publisher states none."""
    if release.sha512:
        return "sha512", release.sha512[platform.machine().lower()]
    if not release.checksums:
        return "sha256", None
    address = _mirrored(release.checksums)
    lines = b"".join(_read(address)).decode("utf-8", errors="replace").splitlines()
    digests = {words[1].lstrip("*"): words[0].lower() for line in lines if len(words := line.split()) == 2}
    if name not in digests:
        raise _fault(address, f"it does not list {name}")
    return "sha256", digests[name]


def _unpack(archive: Path, address: str, names: tuple[str, ...]) -> None:
    """Take programs out of an archive into its own folder."""
    missing = set(names)
    try:
        with tarfile.open(archive, "r|gz") as members:
            for member in members:
                name = Path(member.name).name
                if name not in missing or not (member.isfile() and (content := members.extractfile(member))):
                    continue
                missing.remove(name)
                with archive.with_name(name).open("wb") as file:
                    while chunk := content.read(CHUNK):
                        file.write(chunk)
                if not missing:
                    return
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _fault(address, f"it is not a complete archive ({error})") from None
    raise _fault(address, f"it does not contain {', '.join(sorted(missing))}")


def _read(address: str, progress: Progress | None = None) -> Iterator[bytes]:
    """Yield what an address holds, and note every ten seconds how much that is so far."""
    try:
        with _open(address, SILENCE_S) as response:
            if not response.url.startswith(SECURE):
                raise _fault(address, f"it leads to {response.url}, which is not https")
            total, done, noted = int(response.headers.get("Content-Length") or 0), 0, time.monotonic()
            while chunk := response.read(CHUNK):
                done += len(chunk)
                yield chunk
                if progress and time.monotonic() - noted >= 10:
                    noted = time.monotonic()
                    progress.note(
                        f"    {done >> 20} of {total >> 20} MiB" if total else f"    {done >> 20} MiB"
                    )
    except urllib.error.HTTPError as error:
        raise _fault(address, str(error)) from None
    except (OSError, http.client.HTTPException) as error:
        raise _fault(address, str(getattr(error, "reason", error))) from None
    if done < total:
        raise _fault(address, f"the connection ended after {done} of {total} bytes")


def _open(url: str, timeout_s: float, method: str = "GET") -> http.client.HTTPResponse:
    # The addresses come from the table, by way of `_mirrored`.
    request = urllib.request.Request(url, method=method)  # noqa: S310
    return urllib.request.urlopen(request, timeout=timeout_s)  # noqa: S310


def _mirrored(url: str) -> str:
    mirror = os.environ.get(MIRROR, "").rstrip("/")
    if mirror:
        if not mirror.startswith(SECURE):
            raise InputError(
                f"{MIRROR} is `{mirror}`, which is not an https address", fix="Name one, or unset it"
            )
        url = f"{mirror}/{url.removeprefix('https://')}"
    return url


def _fault(address: str, reason: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"{address} could not be used: {reason}",
        fix="Check the connection to the internet and run the same command again, or build the tool with "
        "`isthmus sandbox install --from modules`, which needs Go and package registries only",
    )
