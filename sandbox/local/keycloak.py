"""A Keycloak of this machine, in place of the organisation's sign-on: its programs, realm and people.

It comes by Maven, is built once and kept in the toolchain's cache. Its data are in memory.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault
from sandbox.toolchain import cache, commands

LOCK = Path(__file__).with_name("keycloak.lock")
REALM = Path(__file__).with_name("realm.json")
"""The realm: its client, its claims and the bank's people. Each person's password is the name."""
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
NEEDED = ("java", "mvn")
HEAP = "-Xms64m -Xmx400m"


@dataclass(frozen=True)
class SignOnPerson:
    """Somebody who can sign on here."""

    name: str
    password: str
    groups: tuple[str, ...]


def missing_tools() -> list[str]:
    """Programs that Keycloak needs and this machine lacks."""
    return [tool for tool in NEEDED if shutil.which(tool) is None]


def folder() -> Path:
    """The folder of the built Keycloak, there or not."""
    return cache.root() / f"keycloak-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:8]}"


def install(progress: Callable[[str], None]) -> float:
    """Fetch and build Keycloak, whole or not at all. Returns the seconds that it took, 0 if it is there.

    Raises `EnvironmentFault` if Maven cannot get it, its digest differs, or it does not build.
    """
    target, began = folder(), time.monotonic()
    with cache.exclusive(target, "another run is building Keycloak; waiting for it", progress):
        if target.exists():
            return 0.0
        progress("builds Keycloak, once")
        with cache.fill_folder(target) as filling, tempfile.TemporaryDirectory() as download:
            archive = _fetch(Path(download))
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(download)
            [unpacked] = [path for path in Path(download).iterdir() if path.is_dir()]
            for path in unpacked.iterdir():
                shutil.move(path, filling / path.name)
            script = filling / "bin" / "kc.sh"
            script.chmod(0o755)
            _run([str(script), "build", "--db=dev-mem", "--health-enabled=true"])
    return time.monotonic() - began


def _fetch(folder: Path) -> Path:
    coordinates, digest = LOCK.read_text().splitlines()[-1].split()
    _run(["mvn", "-q", "-B", PLUGIN, f"-Dartifact={coordinates}", f"-DoutputDirectory={folder}"])
    [archive] = folder.glob("*.zip")
    actual = hashlib.sha256(archive.read_bytes()).hexdigest()
    if actual != digest:
        raise EnvironmentFault(
            f"Keycloak could not be installed: the SHA-256 of its archive is {actual}, not {digest}",
            where=str(LOCK),
            fix="A proxy or mirror may have changed it: delete ~/.m2/repository/org/keycloak and run `make try` again",
        )
    return archive


def realm(groups: Iterable[str], clients: Iterable[str] = ()) -> tuple[dict[str, Any], list[SignOnPerson]]:
    """The realm with all of these groups, and its people. A group that nobody has gets a person of its own name.

    `clients`: applications at which people sign on. Those that the realm lacks are made like its first one.
    """
    made = copy.deepcopy(json.loads(REALM.read_text("utf-8")))
    first, names = made["clients"][0], {client["clientId"] for client in made["clients"]}
    made["clients"] += [{**copy.deepcopy(first), "clientId": name} for name in sorted(set(clients) - names)]
    known = {group["name"] for group in made["groups"]}
    for group in sorted(set(groups) - known):
        made["groups"].append({"name": group})
    taken = {group for user in made["users"] for group in user["groups"]}
    made["users"] += [_user(group) for group in sorted(set(groups) - taken)]
    people = [
        SignOnPerson(user["username"], user["credentials"][0]["value"], tuple(user["groups"]))
        for user in made["users"]
    ]
    return made, people


def _user(group: str) -> dict[str, Any]:
    return {
        **{"username": group, "email": f"{group}@bank.example", "emailVerified": True, "enabled": True},
        **{"firstName": group, "lastName": "Person", "groups": [group]},
        "credentials": [{"type": "password", "value": group, "temporary": False}],
    }


def prepare(target: Path, content: dict[str, Any]) -> None:
    """Lay out a server's own folder: what is built is shared, the realm and what it writes are its own."""
    target.mkdir(parents=True)
    for name in ("bin", "conf", "providers", "themes"):
        shutil.copytree(folder() / name, target / name)
    (target / "lib").symlink_to(folder() / "lib")
    imports = target / "data" / "import"
    imports.mkdir(parents=True)
    (imports / f"{content['realm']}-realm.json").write_text(json.dumps(content))


def command(target: Path, port: int, management_port: int) -> list[str]:
    """The command that runs the server of a folder in the foreground."""
    return [
        str(target / "bin" / "kc.sh"),
        *("start", "--optimized", "--import-realm", "--http-enabled=true", "--http-host=127.0.0.1"),
        *(f"--http-port={port}", f"--http-management-port={management_port}", "--hostname-strict=false"),
    ]


def environment() -> dict[str, str]:
    """Variables of its process, beside those of every process."""
    kept = {name: os.environ[name] for name in ("JAVA_HOME", "HOME") if name in os.environ}
    return {**kept, "JAVA_OPTS_KC_HEAP": HEAP}


def _run(command: list[str]) -> None:
    fix = "Java 17 and Maven must be on PATH, and Maven must reach its repository (~/.m2/settings.xml). Then run "
    commands.run(command, "Keycloak could not be installed", fix=f"{fix}`make try` again")
