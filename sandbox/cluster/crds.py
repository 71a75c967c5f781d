"""CustomResourceDefinitions for the clusters: real ones where a folder has them, stand-ins for the rest."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from isthmus.core import yaml_files
from isthmus.core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

_KIND = re.compile(r"^kind:\s*CustomResourceDefinition\s*$", re.MULTILINE)
_METADATA = re.compile(r"^metadata:\n((?:[ #].*\n|\n)+)", re.MULTILINE)
_NAME = re.compile(r"^  name:\s*[\"']?([a-z0-9.-]+)[\"']?\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Definition:
    """A CRD as text, which the API server parses faster than we could."""

    name: str
    """`PLURAL.GROUP`."""
    source: Literal["real", "stand-in"]
    text: str
    """YAML."""

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def definitions(folder: Path | None) -> list[Definition]:
    """The CRDs of a folder, and stand-ins for those of the table that it lacks.

    Without a folder: `../shared/crds` beside the checkout where there is one, else stand-ins only.
    """
    chosen = folder or beside_checkout()
    real = _of_folder(chosen) if chosen else {}
    missing = {name: entry for name, entry in stand_ins().items() if name not in real}
    return [*real.values(), *missing.values()]


def beside_checkout() -> Path | None:
    """The folder of real CRDs that development machines have beside the checkout, if there."""
    folder = ROOT.parent / "shared" / "crds"
    return folder if any(folder.glob("*.yaml")) else None


def _of_folder(folder: Path) -> dict[str, Definition]:
    if not folder.is_dir():
        raise InputError(
            "there is no such folder", where=str(folder), fix="Give --crds a folder of CRD files"
        )
    found: dict[str, Definition] = {}
    for file in sorted(folder.glob("*.yaml")):
        for text in re.split(r"^---\s*$", file.read_text("utf-8"), flags=re.MULTILINE):
            if not _KIND.search(text):
                continue
            metadata = _METADATA.search(text + "\n")
            name = _NAME.search(metadata.group(1)) if metadata else None
            if not name:
                raise InputError("this CustomResourceDefinition has no metadata.name", where=str(file))
            found[name.group(1)] = Definition(name.group(1), "real", text)
    if not found:
        raise InputError(
            "no CustomResourceDefinition is in this folder",
            where=str(folder),
            fix="Give --crds a folder of CRD files",
        )
    return found


@cache
def table() -> tuple[dict[str, Any], ...]:
    """Rows of standins.yaml: `group`, `versions` (the stored one first), `kind`, `plural`, `scope`."""
    text = (Path(__file__).parent / "standins.yaml").read_text("utf-8")
    return tuple(yaml_files.loads("rows:\n" + text, "standins.yaml").data["rows"])


def stand_ins() -> dict[str, Definition]:
    """The stand-ins by name."""
    return {f"{row['plural']}.{row['group']}": _stand_in(row) for row in table()}


def _stand_in(row: dict[str, Any]) -> Definition:
    name = f"{row['plural']}.{row['group']}"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    manifest = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # Groups under k8s.io are protected: the API server wants the approval named, or why there is none.
        "metadata": {
            "name": name,
            "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in for a local sandbox"},
        },
        "spec": {
            "group": row["group"],
            "scope": row["scope"],
            "names": {
                "kind": row["kind"],
                "listKind": f"{row['kind']}List",
                "plural": row["plural"],
                "singular": row["kind"].lower(),
            },
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": index == 0,
                    "schema": {"openAPIV3Schema": anything},
                    "subresources": {"status": {}},
                }
                for index, version in enumerate(row["versions"])
            ],
        },
    }
    return Definition(name, "stand-in", json.dumps(manifest))
