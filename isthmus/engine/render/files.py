"""A rendered stack as files: manifests, AWS inputs, the graph, the platform, the outputs.

kubernetes/<site>/<namespace or cluster>/<kind>-<name>.yaml   for `kubectl apply --server-side -f`
helm/<site>/<namespace>/<name>.yaml                           a chart, its version and its values
aws/<site>/<type>-<name>.json                                 a resource's inputs
graph.json, outputs.json, platform.yaml, and what the caller adds (`isthmus render`: its pictures)
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.core import yaml_files
from isthmus.core.errors import EnvironmentFault, InputError
from isthmus.engine.render.words import RENDER_MARKER

if TYPE_CHECKING:
    from isthmus.engine.render.recorder import Resource
    from isthmus.engine.render.rendering import Rendered


RELEASE = "kubernetes:helm.sh/v3:Release"


def build_files(rendered: Rendered, platform: Any) -> dict[str, str]:
    """Relative path → text, sorted. `platform` is the validated platform as plain data."""
    text_by_path: dict[str, str] = {}
    for resource in rendered.resources:
        if not resource.made:
            continue
        site = _site(resource)
        if resource.type == RELEASE:
            path, text = _release(resource, site)
        elif resource.type.startswith("kubernetes:"):
            path, text = manifest(resource)
        else:
            kind = _slug(resource.type.split(":")[-1])
            path = f"aws/{site}/{kind}-{_slug(resource.name)}.json"
            text = _json({"urn": resource.urn, "type": resource.type, "inputs": resource.inputs})
        if path in text_by_path:
            raise ValueError(f"two resources would be written to {path}")
        text_by_path[path] = text
    text_by_path["graph.json"] = _json({"resources": [resource.as_json() for resource in rendered.resources]})
    text_by_path["outputs.json"] = _json(rendered.outputs)
    text_by_path["platform.yaml"] = yaml_files.dumps(
        platform, "The validated platform: blueprint and overrides, merged."
    )
    return dict(sorted(text_by_path.items()))


def write_folder(text_by_path: dict[str, str], target: Path, stack: str) -> None:
    """Write the folder whole or not at all. An existing folder is replaced if a rendering made it.

    Raises `InputError` for a folder of other origin, `EnvironmentFault` where nothing can be written.
    """
    if target.exists() and not target.is_dir():
        raise InputError("this is a file, not a folder", where=str(target), fix="Name another folder with -o")
    if target.is_dir() and any(target.iterdir()) and not (target / RENDER_MARKER).is_file():
        raise InputError(
            "this folder was not made by `isthmus render` and is left alone",
            where=str(target),
            fix="Name another folder with -o, or empty it",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise _write_fault(target, error) from None
    try:
        new = temporary / "new"
        for name, text in {RENDER_MARKER: f"{stack}\n", **text_by_path}.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        if target.exists():
            target.rename(temporary / "old")
        new.rename(target)
    except OSError as error:
        if (temporary / "old").exists() and not target.exists():
            (temporary / "old").rename(target)
        raise _write_fault(target, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_fault(target: Path, error: OSError) -> EnvironmentFault:
    return EnvironmentFault(
        f"the folder cannot be written ({error.strerror})",
        where=str(target),
        fix="Check the space on the disk and your rights",
    )


def manifest(resource: Resource) -> tuple[str, str]:
    """An object's file below the folder, and what stands in it."""
    site = _site(resource)
    body = _without_ignored(resource.inputs, resource.options.get("ignoreChanges", []))
    kind = str(body.get("kind") or resource.type.split(":")[-1])
    # A patch of an object that others made shares its kind with objects of our own.
    label = f"{kind}-patch" if resource.type.endswith("Patch") and not kind.endswith("Patch") else kind
    metadata = body.get("metadata") or {}
    group, _, version = resource.type.split(":")[1].rpartition("/")
    api = body.get("apiVersion") or (version if group in ("", "core") else f"{group}/{version}")
    content = {key: value for key, value in body.items() if key not in ("apiVersion", "kind", "metadata")}
    ordered = {"apiVersion": api, "kind": kind, "metadata": metadata, **content}
    namespace_folder = _slug(str(metadata.get("namespace") or "cluster"))
    path = f"kubernetes/{site}/{namespace_folder}/{_slug(label)}-{_slug(str(metadata.get('name') or resource.name))}.yaml"
    return path, yaml_files.dumps(ordered, resource.urn)


def _release(resource: Resource, site: str) -> tuple[str, str]:
    """A Helm release is no object of the API: what Helm, Argo CD or Flux must be told of it."""
    release = {key: resource.inputs.get(key) for key in ("name", "namespace", "chart", "version", "values")}
    path = f"helm/{site}/{_slug(str(release['namespace']))}/{_slug(str(release['name']))}.yaml"
    return path, yaml_files.dumps(
        {key: value for key, value in release.items() if value is not None}, resource.urn
    )


def _without_ignored(body: dict[str, Any], ignored: list[str]) -> dict[str, Any]:
    """Without the fields that others own: whoever applies the manifest again and again would set them back."""
    for path in ignored:
        key, _, below = path.partition(".")
        if below and isinstance(body.get(key), dict):
            body = {**body, key: _without_ignored(body[key], [below])}
        else:
            body = {name: value for name, value in body.items() if name != key}
    return body


def _site(resource: Resource) -> str:
    """The site is named by the provider that makes the resource."""
    return _slug(resource.provider.split("::")[-1]) if resource.provider else "default"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "x"


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
