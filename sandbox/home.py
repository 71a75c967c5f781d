"""Where one sandbox keeps everything: one directory, and the names in it.

`down` removes what belongs to the cluster and to AWS; `pulumi-state` and the passphrase stay, so that
Pulumi still knows what it made.
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
    """The directory of one sandbox; `root` is absolute and free of links."""

    root: Path

    @classmethod
    def at(cls, path: Path | str | None = None) -> Home:
        """The home at `path`, else at `$ISTHMUS_HOME`, else in the user's state directory."""
        chosen = path or os.environ.get("ISTHMUS_HOME")
        if not chosen:
            from platformdirs import user_state_dir

            chosen = user_state_dir("isthmus")
        return cls(Path(chosen).expanduser().resolve())

    @property
    def kubeconfig(self) -> Path:
        """One context a site; the path never changes, whatever ports the clusters have."""
        return self.root / "kubeconfig"

    @property
    def kwok(self) -> Path:
        """KWOK_WORKDIR: configuration, certificates, data and logs of the clusters."""
        return self.root / "kwok"

    @property
    def aws(self) -> Path:
        """The AWS endpoint's log; what it knows is in its memory."""
        return self.root / "aws"

    @property
    def aws_plugin(self) -> Path:
        """Folder of our `pulumi-resource-aws`, for PATH where no real one is installed."""
        return self.root / "aws-plugin"

    @property
    def state_file(self) -> Path:
        """What is up: sites with their addresses, and the AWS endpoint's port."""
        return self.root / "sandbox.json"

    @property
    def processes(self) -> Path:
        """Ids and start times of the processes that this sandbox runs."""
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
        """Pulumi's file backend; `down` keeps it."""
        return self.root / "pulumi-state"

    @property
    def passphrase(self) -> Path:
        """File with the passphrase of the stacks' secrets; `down` keeps it."""
        return self.root / "passphrase"

    def make(self) -> None:
        """Create the directory, for this user alone."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise EnvironmentFault(
                f"the sandbox's directory cannot be made ({error.strerror})",
                where=str(self.root),
                fix="Set ISTHMUS_HOME to a directory that you may write to",
            ) from None

    def read_state(self) -> dict[str, Any]:
        """What the last `up` wrote; empty when nothing is up."""
        try:
            return json.loads(self.state_file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            # Files are renamed into place, so a damaged one was edited by hand: `up` makes it anew.
            return {}

    def write_state(self, state: dict[str, Any]) -> None:
        write_private(self.state_file, json.dumps(state, indent=1, sort_keys=True) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, whole or not at all."""
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
            fix="Check the space on the disk",
        ) from None
