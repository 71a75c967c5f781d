"""Converts a rendered stack to files: manifests, AWS inputs, graph, platform, outputs.

kubernetes/<site>/<namespace or cluster>/<kind>-<name>.yaml   for `kubectl apply --server-side -f`
helm/<site>/<namespace>/<name>.yaml                           a chart, its version and its values
aws/<site>/<type>-<name>.json                                 a resource's inputs
graph.json, outputs.json, platform.yaml, and files of the caller (`isthmus render` adds diagrams)
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
    from collections.abc import Sequence

    from isthmus.contracts.reports.preview import RuleException
    from isthmus.engine.render.recorder import Resource
    from isthmus.engine.render.rendering import Rendered


RELEASE = "kubernetes:helm.sh/v3:Release"


def build_files(
    rendered: Rendered, platform: Any, exceptions: Sequence[RuleException] = ()
) -> dict[str, str]:
    """Relative path → text, sorted by path. `platform`: the validated platform as plain data.

    `exceptions`: rules that are off and silences, which graph.json names if there are any. Raises `InputError` if two
    resources would be written to one file, which are mostly one object.
    """
    text_by_path: dict[str, str] = {}
    writers: dict[str, str] = {}
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
            raise InputError(
                f"two resources would be written to {path}: {writers[path]} and {resource.urn}",
                fix="remove one of them from the program, or give it another name, namespace or cluster",
            )
        text_by_path[path], writers[path] = text, resource.urn
    graph: dict[str, Any] = {"resources": [resource.as_json() for resource in rendered.resources]}
    if exceptions:
        graph["exceptions"] = [entry.model_dump(mode="json") for entry in exceptions]
    text_by_path["graph.json"] = _json(graph)
    text_by_path["outputs.json"] = _json(rendered.outputs)
    text_by_path["platform.yaml"] = yaml_files.dumps(
        platform, "The validated platform: blueprint and overrides, merged."
    )
    return dict(sorted(text_by_path.items()))


def write_folder(text_by_path: dict[str, str], target: Path, stack: str) -> None:
    """Write the folder atomically. Replaces an existing folder only if a rendering wrote it.

    Raises `InputError` for any other existing folder, `EnvironmentFault` if writing fails.
    """
    if target.exists() and not target.is_dir():
        raise InputError("this is a file, not a folder", where=str(target), fix="Give -o another folder")
    if target.is_dir() and any(target.iterdir()) and not (target / RENDER_MARKER).is_file():
        raise InputError(
            "`isthmus render` did not write this folder, so it is not replaced",
            where=str(target),
            fix="Give -o another folder, or empty this one",
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
        fix="Check the free disk space and your permissions",
    )


def manifest(resource: Resource) -> tuple[str, str]:
    """Relative path and text of an object's manifest."""
    site = _site(resource)
    body = _without_ignored(resource.inputs, resource.options.get("ignoreChanges", []))
    kind = str(body.get("kind") or resource.type.split(":")[-1])
    # A patch has the kind of the object that it changes, so it gets another file name.
    label = f"{kind}-patch" if resource.type.endswith("Patch") and not kind.endswith("Patch") else kind
    metadata = body.get("metadata") or {}
    group, _, version = resource.type.split(":")[1].rpartition("/")
    api = body.get("apiVersion") or (version if group in ("", "core") else f"{group}/{version}")
    content = {key: value for key, value in body.items() if key not in ("apiVersion", "kind", "metadata")}
    ordered = {"apiVersion": api, "kind": kind, "metadata": metadata, **content}
    namespace_folder = _slug(str(metadata.get("namespace") or "cluster"))
    name = _slug(str(metadata.get("name") or resource.name))
    path = f"kubernetes/{site}/{namespace_folder}/{_slug(label)}-{name}.yaml"
    return path, yaml_files.dumps(ordered, resource.urn)


def _release(resource: Resource, site: str) -> tuple[str, str]:
    """File of a Helm release, which is no API object: the values that Helm, Argo CD or Flux need."""
    release = {key: resource.inputs.get(key) for key in ("name", "namespace", "chart", "version", "values")}
    path = f"helm/{site}/{_slug(str(release['namespace']))}/{_slug(str(release['name']))}.yaml"
    return path, yaml_files.dumps(
        {key: value for key, value in release.items() if value is not None}, resource.urn
    )


def _without_ignored(body: dict[str, Any], ignored: list[str]) -> dict[str, Any]:
    """The body without ignored fields, because applying the manifest repeatedly would reset them."""
    for path in ignored:
        key, _, below = path.partition(".")
        if below and isinstance(body.get(key), dict):
            body = {**body, key: _without_ignored(body[key], [below])}
        else:
            body = {name: value for name, value in body.items() if name != key}
    return body


def _site(resource: Resource) -> str:
    """The site: the name of the resource's provider."""
    return _slug(resource.provider.split("::")[-1]) if resource.provider else "default"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "x"


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
