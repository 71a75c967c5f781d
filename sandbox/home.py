"""The directory of one sandbox and the files in it.

`down` removes the files of the clusters and of AWS. `pulumi-state` and the passphrase stay, so that Pulumi keeps
its state.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault


@dataclass(frozen=True)
class Home:
    """The directory of one sandbox. `root` is an absolute path without symbolic links."""

    root: Path

    @classmethod
    def at(cls, path: Path | str | None = None) -> Home:
        """Return the home at `path`. Default: `$ISTHMUS_HOME`, else the user's state directory."""
        folder = path or os.environ.get("ISTHMUS_HOME")
        if not folder:
            from platformdirs import user_state_dir

            folder = user_state_dir("isthmus")
        return cls(Path(folder).expanduser().resolve())

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig with one context for each site. Its path never changes."""
        return self.root / "kubeconfig"

    @property
    def kwok(self) -> Path:
        """KWOK_WORKDIR: configuration, certificates, data and logs of the clusters."""
        return self.root / "kwok"

    @property
    def aws(self) -> Path:
        """Folder of the AWS endpoint's log. The endpoint keeps its data in memory."""
        return self.root / "aws"

    @property
    def aws_plugin(self) -> Path:
        """Folder of the sandbox's `pulumi-resource-aws`, used if the real plugin is not installed."""
        return self.root / "aws-plugin"

    @property
    def state_file(self) -> Path:
        """State of the last `up`: sites with their addresses, and the AWS endpoint's port."""
        return self.root / "sandbox.json"

    @property
    def processes(self) -> Path:
        """Ids and start times of this sandbox's processes."""
        return self.root / "processes.json"

    @property
    def lock(self) -> Path:
        return self.root / "sandbox.lock"

    @property
    def pulumi(self) -> Path:
        """PULUMI_HOME: plugins, workspaces and credentials of the sandbox's engine."""
        return self.root / "pulumi"

    @property
    def pulumi_state(self) -> Path:
        """Pulumi's file backend. `down` keeps it."""
        return self.root / "pulumi-state"

    @property
    def passphrase(self) -> Path:
        """File with the passphrase of the stacks' secrets. `down` keeps it."""
        return self.root / "passphrase"

    def make(self) -> None:
        """Create the directory, accessible to this user only."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise EnvironmentFault(
                f"the sandbox's directory cannot be created ({error.strerror})",
                where=str(self.root),
                fix="Set ISTHMUS_HOME to a directory that you may write to",
            ) from None

    def read_state(self) -> dict[str, Any]:
        """Return the state of the last `up`. It is empty if the sandbox is not up."""
        try:
            return json.loads(self.state_file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            # The file is replaced atomically, so it was damaged by hand. `up` writes it again.
            return {}

    def write_state(self, state: dict[str, Any]) -> None:
        write_private(self.state_file, json.dumps(state, indent=1, sort_keys=True) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file atomically that only this user can read. Raises `EnvironmentFault` if that fails."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise EnvironmentFault(
            f"the file cannot be written ({error.strerror})",
            where=str(path),
            fix="Check the free space and the permissions of the folder",
        ) from None
