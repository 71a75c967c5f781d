"""Where the engine keeps states: as the engine itself finds it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.engine.project.project import Project


def url(project: Project, environment: Mapping[str, str] = os.environ) -> str:
    """The backend's URL; empty where nobody has said one, and the engine would ask.

    The variable is first, then the project's own setting, then the last `pulumi login`, as in Pulumi's
    `workspace.GetCurrentCloudURL`. Raises `InputError` where `Pulumi.yaml` does not parse.
    """
    if backend_url := environment.get("PULUMI_BACKEND_URL"):
        return backend_url
    backend = project.settings.get("backend")
    if isinstance(backend, dict) and backend.get("url"):
        return str(backend["url"])
    return _logged_in_backend(environment)


def _logged_in_backend(environment: Mapping[str, str]) -> str:
    """What `pulumi login` wrote down last; empty where it did not, or it cannot be read: the engine says why."""
    home = environment.get("PULUMI_CREDENTIALS_PATH") or environment.get("PULUMI_HOME")
    file = (Path(home) if home else Path.home() / ".pulumi") / "credentials.json"
    try:
        current = json.loads(file.read_text("utf-8")).get("current")
    except (OSError, ValueError, AttributeError):
        return ""
    return current if isinstance(current, str) else ""
