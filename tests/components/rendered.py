"""What a cluster would have given to rendered configurations that are run here: paths, ports, certificates, keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.components.conftest import Engine
from tests.edge.audit.harness import new_key
from tests.edge.certificates import Authority
from tests.edge.conftest import callers_text


def read_config(engine: Engine, name: str, mounted: dict[str, Path]) -> Any:
    """A rendered configuration, with each mounted folder where it is here."""
    text = engine.only("ConfigMap", name).inputs["data"]["config.yaml"]
    for path, folder in mounted.items():
        text = text.replace(path, str(folder))
    config = YAML(typ="safe").load(text)
    for listener in ("listen", "health"):
        if listener in config:
            config[listener].pop("port")
            config[listener]["host"] = "127.0.0.1"
    return config


def shown(authority: Authority, folder: Path, name: str, namespace: str) -> Path:
    """A TLS Secret as it is mounted."""
    folder.mkdir()
    authority.issue(name, f"{name}.{namespace}")
    for key, file in (("tls.crt", f"{name}.crt"), ("tls.key", f"{name}.key"), ("ca.crt", "ca.crt")):
        (folder / key).write_bytes((authority.path.parent / file).read_bytes())
    return folder


@dataclass
class Given:
    """Secrets and volumes of a gateway and of its sealer, as they are mounted."""

    gateway: dict[str, Path]
    sealer: dict[str, Path]
    public: bytes
    """The sealer's public key."""


def gateway_mounts(folder: Path, authority: Authority, keys: dict[str, str]) -> Given:
    """In a folder; `keys` of callers by workload."""
    private, public = new_key()
    for part in ("callers", "keys", "sealer", "share/records", "share/seals"):
        (folder / part).mkdir(parents=True)
    (folder / "callers" / "callers.yaml").write_text(callers_text(keys))
    (folder / "keys" / "sealer.pem").write_bytes(public)
    (folder / "keys" / "site.key").write_text("ab" * 32)
    (folder / "sealer" / "sealer.key.pem").write_bytes(private)
    (folder / "sealer" / "credentials").write_text(
        "[default]\naws_access_key_id = a\naws_secret_access_key = b\n"
    )
    (folder / "sealer" / "ca.crt").write_bytes(authority.path.read_bytes())
    share = {"/var/lib/isthmus/audit": folder / "share"}
    secrets = {"/etc/isthmus/callers": folder / "callers", "/etc/isthmus/audit": folder / "keys"}
    return Given({**share, **secrets}, {**share, "/etc/isthmus/sealer": folder / "sealer"}, public)


def send_to(place: dict[str, Any], url: str) -> None:
    """Let a place of a gateway's configuration lead to one process of this machine."""
    place["url"] = url
    for key in ("by_replica", "replicas"):
        place.pop(key, None)
