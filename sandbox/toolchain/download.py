"""`--from download`: official releases, each through its own project's way of fetching; the only module that
does so.

Pulumi's command line and language hosts come through `pulumi.automation`, its providers through `pulumi
plugin install`, kwokctl from its releases, and the binaries of Kubernetes, etcd and kwok from where that
kwokctl says.
"""

from __future__ import annotations

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from urllib.parse import urldefrag

from isthmus.core.errors import EnvironmentFault
from sandbox.toolchain import cache
from sandbox.toolchain.progress import Progress
from sandbox.toolchain.table import (
    CLUSTER,
    ENGINE,
    HELPER,
    HOST,
    KUBERNETES,
    KWOK,
    PROVIDER,
    PULUMI,
    YAML_HOST,
    Tool,
)

KWOK_RELEASES = "https://github.com/kubernetes-sigs/kwok/releases/download"
"""kwok's documented scheme is <this>/v<version>/kwokctl-<os>-<arch>; KWOK_BINARY_PREFIX overrides it, as in
kwokctl."""

PROVIDERS = {"kubernetes": "pulumi-kubernetes", "aws": "pulumi-aws"}
"""Provider → the Python package whose version it must have."""


def fetch(
    missing: list[Tool], progress: Progress, install_pulumi: Callable[[Path], None] | None = None
) -> None:
    """Fetch what these tools need into the cache; what was fetched before stays.

    `install_pulumi` puts a Pulumi release into a folder; by default Pulumi's own installer does. Raises
    `EnvironmentFault` when something cannot be fetched; nothing half-made is left.
    """
    if HELPER in missing:
        raise EnvironmentFault(
            f"{HELPER.programs[0]} has no release that is fetched here",
            fix="Build it (`isthmus sandbox install --tool signing-helper`, with Go and a C compiler), or put AWS's"
            " own on PATH",
        )
    final = cache.downloads()
    with cache.turn(final, "another install is downloading; waiting for it", progress.note):
        if ENGINE in missing or HOST in missing or YAML_HOST in missing:
            _part(final / "pulumi", progress, f"Pulumi {PULUMI}", install_pulumi or _install_pulumi)
        if PROVIDER in missing:
            _part(
                final / "providers", progress, "Pulumi's providers for Kubernetes and AWS", _install_providers
            )
        if CLUSTER in missing:
            _part(final / "cluster", progress, f"Kubernetes {KUBERNETES} and kwok {KWOK}", _install_cluster)
        with cache.told_about_space(final):
            _link_all(final)


def _part(target: Path, progress: Progress, title: str, make: Callable[[Path], None]) -> None:
    if target.exists():
        return
    progress.note(f"downloading {title}")
    with cache.filling(target) as made:
        try:
            make(made)
        except (
            urllib.error.URLError,
            subprocess.CalledProcessError,
            tarfile.TarError,
            RuntimeError,
        ) as error:
            said = getattr(error, "output", None) or getattr(error, "stderr", None) or error
            told = (said.decode(errors="replace") if isinstance(said, bytes) else str(said)).strip()[-300:]
            raise EnvironmentFault(
                f"{title} could not be downloaded: {told}",
                fix="This needs the open internet; where there are only package registries, run "
                "`isthmus sandbox install` without `--from download`, which builds it",
            ) from None


def _install_pulumi(folder: Path) -> None:
    from pulumi.automation import PulumiCommand
    from semver import VersionInfo

    PulumiCommand.install(root=str(folder), version=VersionInfo.parse(PULUMI))


def _install_providers(folder: Path) -> None:
    from sandbox.toolchain.lookup import find

    pulumi = find("pulumi") or cache.downloads() / "pulumi" / "bin" / "pulumi"
    for name, package in PROVIDERS.items():
        subprocess.run(
            [str(pulumi), "plugin", "install", "resource", name, metadata.version(package)],
            env={**os.environ, "PULUMI_HOME": str(folder), "PULUMI_SKIP_UPDATE_CHECK": "true"},
            capture_output=True,
            check=True,
        )


def _install_cluster(folder: Path) -> None:
    prefix = os.environ.get("KWOK_BINARY_PREFIX", f"{KWOK_RELEASES}/v{KWOK}")
    kwokctl = folder / "kwokctl"
    _save(kwokctl, _get(f"{prefix}/kwokctl-{sys.platform}-{_architecture()}"))
    listed = subprocess.run(
        [str(kwokctl), "get", "artifacts", "--runtime", "binary"],
        env={**os.environ, "KWOK_KUBE_VERSION": f"v{KUBERNETES}", "KWOK_WORKDIR": str(folder / "work")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    shutil.rmtree(folder / "work", ignore_errors=True)
    for address in listed.split():
        url, member = urldefrag(address)
        name = member or Path(url).name.removesuffix(f"-{sys.platform}-{_architecture()}")
        if name in CLUSTER.programs:
            content = _get(url)
            _save(folder / name, _from_tar(content, name) if member else content)
    lacking = [name for name in CLUSTER.programs if not (folder / name).exists()]
    if lacking:
        raise RuntimeError(f"kwokctl names no download of {', '.join(lacking)}")


def _get(url: str) -> bytes:
    # Only addresses of the table and those that kwokctl names come here.
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise RuntimeError(f"{url} is not https")
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310
        return answer.read()


def _from_tar(content: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for entry in archive:
            if entry.isfile() and Path(entry.name).name == name:
                reader = archive.extractfile(entry)
                assert reader is not None
                return reader.read()
    raise tarfile.TarError(f"there is no {name} in it")


def _save(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o755)


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())


def _link_all(final: Path) -> None:
    """One folder `bin` with every program fetched. A link, renamed into place: the files stay where they
    came from."""
    folder = final / "bin"
    folder.mkdir(exist_ok=True)
    programs = [*(final / "pulumi" / "bin").glob("pulumi*"), *(final / "cluster").glob("*")]
    programs += (final / "providers" / "plugins").glob("resource-*/pulumi-resource-*")
    for program in programs:
        new = folder / f".{program.name}.new"
        new.unlink(missing_ok=True)
        new.symlink_to(os.path.relpath(program, folder))
        new.rename(folder / program.name)
