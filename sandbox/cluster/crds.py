"""CustomResourceDefinitions of the clusters: real ones from a folder, stand-ins for all others."""

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
"""Root of the checkout."""

_KIND_LINE = re.compile(r"^kind:\s*CustomResourceDefinition\s*$", re.MULTILINE)
_METADATA_BLOCK = re.compile(r"^metadata:\n((?:[ #].*\n|\n)+)", re.MULTILINE)
_NAME_LINE = re.compile(r"^  name:\s*[\"']?([a-z0-9.-]+)[\"']?\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Definition:
    """A CRD as text. The API server parses it faster than Python does."""

    name: str
    """`PLURAL.GROUP`."""
    source: Literal["real", "stand-in"]
    text: str
    """YAML."""

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def definitions(folder: Path | None) -> list[Definition]:
    """Return the CRDs of a folder, and a stand-in for each row of standins.yaml that the folder lacks.

    Without a folder, `../shared/crds` beside the checkout is used if it exists.
    """
    crd_folder = folder or default_folder()
    real = _read_folder(crd_folder) if crd_folder else {}
    missing = {name: entry for name, entry in stand_ins().items() if name not in real}
    return [*real.values(), *missing.values()]


def default_folder() -> Path | None:
    """Return the folder of real CRDs beside the checkout, which development machines have, or None."""
    folder = ROOT.parent / "shared" / "crds"
    return folder if any(folder.glob("*.yaml")) else None


def _read_folder(folder: Path) -> dict[str, Definition]:
    if not folder.is_dir():
        raise InputError(
            "the folder of CRD files does not exist",
            where=str(folder),
            fix="Set --crds to a folder of CRD files",
        )
    definitions: dict[str, Definition] = {}
    for file in sorted(folder.glob("*.yaml")):
        for text in re.split(r"^---\s*$", file.read_text("utf-8"), flags=re.MULTILINE):
            if not _KIND_LINE.search(text):
                continue
            metadata = _METADATA_BLOCK.search(text + "\n")
            name = _NAME_LINE.search(metadata.group(1)) if metadata else None
            if not name:
                raise InputError(
                    "a CustomResourceDefinition has no metadata.name",
                    where=str(file),
                    fix="Add metadata.name to it, indented by two spaces",
                )
            definitions[name.group(1)] = Definition(name.group(1), "real", text)
    if not definitions:
        raise InputError(
            "the folder has no CustomResourceDefinition",
            where=str(folder),
            fix="Set --crds to a folder of CRD files",
        )
    return definitions


@cache
def stand_in_rows() -> tuple[dict[str, Any], ...]:
    """Return the rows of standins.yaml: `group`, `versions` (the stored one first), `kind`, `plural`, `scope`."""
    text = (Path(__file__).parent / "standins.yaml").read_text("utf-8")
    return tuple(yaml_files.loads("rows:\n" + text, "standins.yaml").data["rows"])


def stand_ins() -> dict[str, Definition]:
    """Return the stand-in definitions by name."""
    return {f"{row['plural']}.{row['group']}": _build_stand_in(row) for row in stand_in_rows()}


def _build_stand_in(row: dict[str, Any]) -> Definition:
    name = f"{row['plural']}.{row['group']}"
    open_schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    manifest = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # The API server accepts CRDs of groups under k8s.io only with this annotation.
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
                    "schema": {"openAPIV3Schema": open_schema},
                    "subresources": {"status": {}},
                }
                for index, version in enumerate(row["versions"])
            ],
        },
    }
    return Definition(name, "stand-in", json.dumps(manifest))
