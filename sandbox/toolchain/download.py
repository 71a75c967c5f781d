"""Downloads official releases for `--from download`. No other module downloads programs.

`pulumi.automation` downloads Pulumi's command line and language hosts, and `pulumi plugin install` its providers.
kwokctl comes from its GitHub releases. It names the download addresses of Kubernetes, etcd and kwok.
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
"""Download addresses are <this>/v<version>/kwokctl-<os>-<arch>, as kwok documents. The environment variable
KWOK_BINARY_PREFIX overrides them, as in kwokctl."""

PROVIDERS = {"kubernetes": "pulumi-kubernetes", "aws": "pulumi-aws"}
"""Python package by provider. The provider must have the package's version."""


def fetch(
    missing: list[Tool], progress: Progress, install_pulumi: Callable[[Path], None] | None = None
) -> None:
    """Download these tools into the cache. Earlier downloads stay.

    `install_pulumi` installs a Pulumi release into a folder; by default Pulumi's own installer does. Raises
    `EnvironmentFault` if a download fails. No incomplete download is left.
    """
    if HELPER in missing:
        raise EnvironmentFault(
            f"{HELPER.programs[0]} cannot be downloaded by `--from download`",
            fix="Build it with `isthmus sandbox install --tool signing-helper`, which needs Go and a C compiler, or "
            "put AWS's own program on PATH",
        )
    download_folder = cache.download_folder()
    with cache.exclusive(download_folder, "another install is downloading; waiting for it", progress.note):
        if ENGINE in missing or HOST in missing or YAML_HOST in missing:
            _fetch_once(
                download_folder / "pulumi", progress, f"Pulumi {PULUMI}", install_pulumi or _install_pulumi
            )
        if PROVIDER in missing:
            _fetch_once(
                download_folder / "providers",
                progress,
                "Pulumi's providers for Kubernetes and AWS",
                _install_providers,
            )
        if CLUSTER in missing:
            _fetch_once(
                download_folder / "cluster",
                progress,
                f"Kubernetes {KUBERNETES} and kwok {KWOK}",
                _install_cluster,
            )
        with cache.explain_disk_errors(download_folder):
            _link_all(download_folder)


def _fetch_once(target: Path, progress: Progress, title: str, make: Callable[[Path], None]) -> None:
    if target.exists():
        return
    progress.note(f"downloading {title}")
    with cache.fill_folder(target) as folder:
        try:
            make(folder)
        except (
            urllib.error.URLError,
            subprocess.CalledProcessError,
            tarfile.TarError,
            RuntimeError,
        ) as error:
            output = getattr(error, "output", None) or getattr(error, "stderr", None) or error
            reason = (output.decode(errors="replace") if isinstance(output, bytes) else str(output)).strip()[
                -300:
            ]
            raise EnvironmentFault(
                f"{title} could not be downloaded: {reason}",
                fix="Check the connection to the internet, or run `isthmus sandbox install` without "
                "`--from download`: it builds the tool and needs package registries only",
            ) from None


def _install_pulumi(folder: Path) -> None:
    from pulumi.automation import PulumiCommand
    from semver import VersionInfo

    PulumiCommand.install(root=str(folder), version=VersionInfo.parse(PULUMI))


def _install_providers(folder: Path) -> None:
    from sandbox.toolchain.lookup import find

    pulumi = find("pulumi") or cache.download_folder() / "pulumi" / "bin" / "pulumi"
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
    _save_program(kwokctl, _download(f"{prefix}/kwokctl-{sys.platform}-{_architecture()}"))
    addresses = subprocess.run(
        [str(kwokctl), "get", "artifacts", "--runtime", "binary"],
        env={**os.environ, "KWOK_KUBE_VERSION": f"v{KUBERNETES}", "KWOK_WORKDIR": str(folder / "work")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    shutil.rmtree(folder / "work", ignore_errors=True)
    for address in addresses.split():
        url, member = urldefrag(address)
        name = member or Path(url).name.removesuffix(f"-{sys.platform}-{_architecture()}")
        if name in CLUSTER.programs:
            content = _download(url)
            _save_program(folder / name, _extract(content, name) if member else content)
    missing = [name for name in CLUSTER.programs if not (folder / name).exists()]
    if missing:
        raise RuntimeError(f"kwokctl names no download of {', '.join(missing)}")


def _download(url: str) -> bytes:
    # The addresses come from the table and from kwokctl.
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise RuntimeError(f"{url} is not https")
    with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310
        return response.read()


def _extract(content: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            if member.isfile() and Path(member.name).name == name:
                reader = archive.extractfile(member)
                assert reader is not None
                return reader.read()
    raise tarfile.TarError(f"there is no {name} in it")


def _save_program(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o755)


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())


def _link_all(download_folder: Path) -> None:
    """Link every downloaded program in one folder `bin`. Links are renamed into place, so none is ever missing."""
    folder = download_folder / "bin"
    folder.mkdir(exist_ok=True)
    programs = [
        *(download_folder / "pulumi" / "bin").glob("pulumi*"),
        *(download_folder / "cluster").glob("*"),
    ]
    programs += (download_folder / "providers" / "plugins").glob("resource-*/pulumi-resource-*")
    for program in programs:
        temporary_link = folder / f".{program.name}.new"
        temporary_link.unlink(missing_ok=True)
        temporary_link.symlink_to(os.path.relpath(program, folder))
        temporary_link.rename(folder / program.name)
