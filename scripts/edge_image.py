"""Builds the edge's five images with buildah, and writes an SBOM (CycloneDX) of each.

    python -m scripts.edge_image [TARGET ...] [--base IMAGE@sha256:…] [-o FOLDER]

Without `--base` it builds a root file system from Debian packages (mmdebstrap), to test the images without a container
registry. Images for production name the digest of a python:3.13-slim image. It needs root, buildah and mmdebstrap
(Debian packages of these names).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from isthmus.core.errors import EnvironmentFault, IsthmusError
from sandbox.toolchain import cache

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("edge", "translator", "detector", "notifier", "evaluator")
LOCKS = {
    "edge": "requirements.lock",
    "translator": "translator-requirements.lock",
    "detector": "detector-requirements.lock",
    "notifier": "notifier-requirements.lock",
    "evaluator": "evaluator-requirements.lock",
}
"""Files under `edge/` with the Python packages of each target."""
DEBIAN = "bookworm"
BASE_IMAGE = f"localhost/isthmus-base-{DEBIAN}:1"
TOOLS = ("buildah", "mmdebstrap")


def missing_tools() -> list[str]:
    """Programs that a build needs and that are missing on this machine."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def storage() -> Path:
    """The folder of buildah's images and containers. It is in the user's cache, not in the system's store."""
    return cache.root() / f"images-{cache.machine()}"


def buildah(*arguments: str, quiet: bool = True) -> str:
    """Run buildah with our storage and return its output without the last line break. Raises `EnvironmentFault`."""
    folder = storage()
    folder.mkdir(parents=True, exist_ok=True)
    command = ["buildah", "--root", str(folder / "root"), "--runroot", str(folder / "run"), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=quiet, text=True, check=False)
    if done.returncode != 0:
        output = (done.stderr or done.stdout or "").strip().splitlines()
        raise EnvironmentFault(
            f"`buildah {arguments[0]}` ended with {done.returncode}: {' '.join(output[-3:])[-500:]}",
            where=str(folder),
            fix="Run as root with buildah installed and the package index reachable, then try again",
        )
    return (done.stdout or "").strip()


def debian_base() -> str:
    """The name of an image with Debian's Python. The first call builds it. Raises `EnvironmentFault` without a tool."""
    if missing := missing_tools():
        raise EnvironmentFault(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed",
            fix=f"Run `apt-get install {' '.join(missing)}`, or name an image with --base",
        )
    if BASE_IMAGE in buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines():
        return BASE_IMAGE
    archive = storage() / "base.tar"
    packages = "python3,python3-venv,python3-pip,ca-certificates"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", f"--include={packages}", DEBIAN]
    done = subprocess.run([*command, str(archive)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EnvironmentFault(
            f"mmdebstrap ended with {done.returncode}: {done.stderr.strip()[-300:]}",
            fix="It needs root and Debian's package index",
        )
    container = buildah("from", "scratch")
    try:
        buildah("add", container, str(archive), "/")
        buildah("run", "--isolation", "chroot", container, "ln", "-s", "python3", "/usr/bin/python")
        buildah("commit", "--quiet", container, BASE_IMAGE)
    finally:
        buildah("rm", container)
        archive.unlink()
    return BASE_IMAGE


def build(target: str, base: str) -> str:
    """Build a target of `edge/Containerfile` on a base image, and return the name of the new image."""
    image = f"localhost/isthmus-{target}:test"
    mounts = [
        option
        for path in ("/etc/pip.conf", "/etc/ssl/certs", "/usr/local/share/ca-certificates")
        if Path(path).exists()
        for option in ("--volume", f"{path}:{path}:ro")
    ]
    buildah(
        *("bud", "--quiet", "--layers", "--isolation", "chroot", "--network", "host", *mounts),
        *("--build-arg", f"BASE={base}", "--file", "edge/Containerfile", "--target", target),
        *("--tag", image, "."),
    )
    return image


def environment(image: str) -> dict[str, str]:
    """Environment variables that an image sets."""
    inspected = json.loads(buildah("inspect", "--type", "image", image))
    pairs = [line.partition("=") for line in inspected["OCIv1"]["config"]["Env"]]
    return {name: value for name, _, value in pairs}


def write_sbom(target: str, file: Path, python: Path) -> None:
    """Write the CycloneDX SBOM of a target's Python packages, with their hashes, as JSON.

    `python`: of an environment with cyclonedx-bom (tests/graders/sbom.lock). The packages of the base image are the
    base's own SBOM's.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [str(python), "-m", "cyclonedx_py", "requirements", "--output-reproducible", "--of", "JSON"]
    lock = ROOT / "edge" / LOCKS[target]
    done = subprocess.run([*command, "-o", str(file), str(lock)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EnvironmentFault(f"no SBOM of {target}: {done.stderr.strip()[-300:]}", where=str(lock))


def main(arguments: list[str] | None = None) -> int:
    from tests.graders import tools

    parser = argparse.ArgumentParser(
        prog="python -m scripts.edge_image", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "targets", nargs="*", default=list(TARGETS), metavar="TARGET", help=", ".join(TARGETS)
    )
    parser.add_argument("--base", help="base image, by digest")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/images"), help="folder of the SBOMs")
    options = parser.parse_args(arguments)
    if unknown := [target for target in options.targets if target not in TARGETS]:
        parser.error(f"{unknown[0]!r} is not a target. Targets: {', '.join(TARGETS)}")
    try:
        tools.install("sbom")
        python = tools.python("sbom")
        assert python is not None
        base = options.base or debian_base()
        for target in options.targets:
            print(f"{target}: {build(target, base)}, in {storage() / 'root'}")
            file = options.output / f"{target}.cdx.json"
            write_sbom(target, file, python)
            print(f"{target}: SBOM in {file}")
    except IsthmusError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
