"""Writes the sandbox's kubeconfig: one context for each site, named by the site's `kube_context`.

The certificates are embedded. The path stays the same after `down` and `up`, whatever the ports, so that Pulumi
does not replace a provider that names the path.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from isthmus.core import yaml_files
from sandbox.home import write_private


@dataclass(frozen=True)
class Access:
    """The address of one cluster and the files of its certificates."""

    server: str
    authority: Path
    certificate: Path
    key: Path


def write(path: Path, contexts: Mapping[str, Access]) -> None:
    """Write the kubeconfig (mode 0600) with these contexts. The first one becomes the current context."""
    clusters, users, context_entries = [], [], []
    for context, access in contexts.items():
        clusters.append(
            {
                "name": context,
                "cluster": {
                    "server": access.server,
                    "certificate-authority-data": _encoded(access.authority),
                },
            }
        )
        users.append(
            {
                "name": context,
                "user": {
                    "client-certificate-data": _encoded(access.certificate),
                    "client-key-data": _encoded(access.key),
                },
            }
        )
        context_entries.append({"name": context, "context": {"cluster": context, "user": context}})
    text = yaml_files.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": clusters,
            "users": users,
            "contexts": context_entries,
            "current-context": next(iter(contexts), ""),
        }
    )
    if not path.exists() or path.read_text("utf-8") != text:
        write_private(path, text)


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode("ascii")
