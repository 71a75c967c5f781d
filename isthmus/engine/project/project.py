"""The project that a command works on: folder, stacks, estates and their files."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.blueprints import estates
from isthmus.contracts.platform import layers as platform_layers
from isthmus.core.errors import InputError

if TYPE_CHECKING:
    from isthmus.blueprints.estates import Estate, Member
    from isthmus.contracts.platform.layers import Layer
    from isthmus.contracts.platform.model.platform import Platform

SETTINGS = ("overrides", "policies", "sandbox", "kubeconfig", *estates.SETTINGS)
"""Keys of Isthmus that a stack's configuration may have (`stacks.program.Settings`)."""
STACK_FILE_KEYS = ("config", "secretsprovider", "encryptionsalt", "encryptedkey")
"""Keys that a stack's file may have. A rendering reads no other one, such as Pulumi's `environment`."""
_PREFIX, _SUFFIX = "Pulumi.", ".yaml"


@dataclass(frozen=True)
class Project:
    """A folder with `Pulumi.yaml`."""

    root: Path

    @cached_property
    def settings(self) -> dict[str, Any]:
        """`Pulumi.yaml`, parsed. Raises `InputError` for invalid YAML."""
        from isthmus.core import yaml_files

        return yaml_files.load(self.root / "Pulumi.yaml").data

    @property
    def name(self) -> str:
        return str(self.settings.get("name", "isthmus"))

    @property
    def stacks_dir(self) -> Path:
        return self.root / str(self.settings.get("stackConfigDir", "."))

    @property
    def program_dir(self) -> Path:
        return self.root / str(self.settings.get("main", "."))

    @property
    def images_lock(self) -> Path:
        from isthmus.contracts import images_lock

        return self.root / images_lock.FILE

    def stacks(self) -> list[str]:
        """Names of all stacks that have a configuration file, sorted."""
        names = [path.name[len(_PREFIX) : -len(_SUFFIX)] for path in self.stacks_dir.glob("Pulumi.*.yaml")]
        return sorted(name for name in names if name)

    def estates(self) -> dict[str, Estate]:
        """The estates, by name. Raises `InputError` for an incomplete one."""
        return estates.estates(self.stacks_dir, self.name)

    def chosen(self, names: Sequence[str]) -> list[Stack]:
        """The stacks with these names, each once. The name of an estate selects all of its stacks."""
        stacks: dict[str, Stack] = {}
        for name in names:
            if name not in self.stacks() and (estate := self.estates().get(name)) is not None:
                stacks |= {member.stack: Stack(self, member.stack) for member in estate.members}
            else:
                stacks[name] = self.stack(name)
        return list(stacks.values())

    def stack(self, name: str) -> Stack:
        """The stack with this name. Raises `InputError`, with the nearest name, for an unknown one."""
        names = self.stacks()
        if name in names:
            return Stack(self, name)
        estates_by_name = self.estates()
        if name in estates_by_name:
            raise InputError(
                f"`{name}` is an estate, but this command needs one stack",
                where=str(self.stacks_dir),
                fix=f"Name one of its stacks: {', '.join(member.stack for member in estates_by_name[name].members)}",
            )
        close_names = difflib.get_close_matches(name, [*names, *estates_by_name], n=1, cutoff=0.4)
        hint = f"Did you mean `{close_names[0]}`? " if close_names else ""
        alternatives = f"The stacks are: {', '.join(names)}" if names else "The project has no stacks yet"
        alternatives += f"; the estates: {', '.join(sorted(estates_by_name))}" if estates_by_name else ""
        raise InputError(
            f"unknown stack `{name}`: the file {_PREFIX}{name}{_SUFFIX} does not exist",
            where=str(self.stacks_dir),
            fix=f"{hint}{alternatives}",
        )


@dataclass(frozen=True)
class Stack:
    """One stack of a project, and its configuration file."""

    project: Project
    name: str

    @property
    def config_file(self) -> Path:
        return self.project.stacks_dir / f"{_PREFIX}{self.name}{_SUFFIX}"

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The stack's file, parsed: `config`, `encryptionsalt`, `secretsprovider`.

        Raises `InputError` for a key that a rendering does not read, and the engine does.
        """
        from isthmus.core import yaml_files

        document = yaml_files.load(self.config_file)
        for key in document.data:
            if key not in STACK_FILE_KEYS:
                raise InputError(
                    f"the key `{key}` is not allowed: the engine would take settings from it that no rendering shows",
                    where=document.where((key,), key=True),
                    fix=f"Remove it, and write the settings below `config`; allowed are {', '.join(STACK_FILE_KEYS)}",
                )
        return document.data

    @property
    def config(self) -> dict[str, Any]:
        """Configuration with qualified keys (`isthmus:overrides`) and the values of the YAML file."""
        config = self.settings.get("config") or {}
        if not isinstance(config, dict):
            raise InputError("`config` must be a mapping", where=str(self.config_file))
        qualified = {
            key if ":" in key else f"{self.project.name}:{key}": value for key, value in config.items()
        }
        self._check(qualified)
        return qualified

    def _check(self, config: dict[str, Any]) -> None:
        """Raise `InputError` for an unknown Isthmus key, which is a typing error, and for an invalid value."""
        prefix = f"{self.project.name}:"
        for key, value in config.items():
            if not key.startswith(prefix):
                continue
            if (name := key.removeprefix(prefix)) not in SETTINGS:
                close_names = difflib.get_close_matches(name, SETTINGS, n=1)
                hint = f"Did you mean `{prefix}{close_names[0]}`? " if close_names else ""
                raise InputError(
                    f"unknown setting `{key}`",
                    where=str(self.config_file),
                    fix=f"{hint}The settings are: {', '.join(prefix + setting for setting in SETTINGS)}",
                )
            if name == "sandbox" and str(value).lower() not in ("true", "false"):
                raise InputError(
                    f"`{value}` is invalid; allowed are true and false",
                    where=f"{self.config_file} ({key})",
                    fix='Set "true" for a stack of the local sandbox, "false" for a stack in a real account',
                )
            if name == "kubeconfig" and not (isinstance(value, str) and Path(value).is_absolute()):
                # The engine, its providers and this command have different working folders.
                raise InputError(
                    f"`{value}` must be an absolute path",
                    where=f"{self.config_file} ({key})",
                    fix="Set the absolute path of one kubeconfig, or remove the key to use the variable KUBECONFIG",
                )

    @cached_property
    def member(self) -> Member | None:
        """Its part of an estate; None if the stack builds a whole platform."""
        return estates.read_member(self.config, self.name, self.project.name)

    @cached_property
    def estate(self) -> Estate | None:
        """The estate that it belongs to, or None. Raises `InputError` for an incomplete estate."""
        return self.project.estates()[self.member.estate] if self.member else None

    @property
    def family(self) -> str:
        """Name of its estate, or of the stack itself: the stem of the platform's file names."""
        return self.member.estate if self.member else self.name

    @property
    def layer(self) -> Layer:
        return self.member.layer if self.member else "all"

    def reached(self, platform: Platform) -> Platform:
        """The platform reduced to the sites that this stack uses."""
        if self.member is None or self.estate is None:
            return platform
        return platform_layers.with_sites_of_layer(
            platform, self.layer, self.estate.served_by(platform, self.member)
        )

    def siblings(self, members: Sequence[Member]) -> list[Stack]:
        """The stacks of these members of its estate."""
        return [type(self)(self.project, member.stack) for member in members]

    @property
    def sandbox(self) -> bool:
        """Whether it belongs to the local sandbox."""
        return str(self.config.get(f"{self.project.name}:sandbox")).lower() == "true"

    @property
    def kubeconfig(self) -> str | None:
        """`isthmus:kubeconfig`; None means the variable KUBECONFIG."""
        path = self.config.get(f"{self.project.name}:kubeconfig")
        return str(path) if path else None

    @property
    def overrides(self) -> dict[str, Any]:
        """`isthmus:overrides`. Raises `InputError` unless it is a mapping."""
        import json

        value = self.config.get(f"{self.project.name}:overrides") or {}
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                value = None
        if not isinstance(value, dict):
            raise InputError(
                "the overrides must be a mapping",
                where=f"{self.config_file} (isthmus:overrides)",
                fix="Write them as `key: value` lines; docs/stacks.md has examples",
            )
        return value

    @property
    def platform_overrides(self) -> dict[str, Any]:
        """The overrides of its platform: its own, or those of its estate. Raises `InputError`."""
        return estates.overrides(self.project.stacks_dir, self.family) if self.member else self.overrides

    def platform(self) -> Platform:
        """The validated platform, from requirements, plan, blueprint and overrides.

        Raises `InputError` for invalid input, `Refused` for a platform that breaks a rule.
        """
        from isthmus import blueprints

        folder, lock = self.project.stacks_dir, self.project.images_lock
        if self.member is None or self.estate is None:
            return blueprints.platform(folder, self.name, self.overrides, sandbox=self.sandbox, lock=lock)
        name = self.estate.name
        platform = blueprints.platform(
            folder,
            name,
            self.platform_overrides,
            sandbox=self.sandbox,
            lock=lock,
            overrides_file=f"{name}{estates.OVERRIDES}",
        )
        # Checked for every layer: a model that no stack serves is an error of the whole estate.
        self.estate.served_by(platform, self.member)
        return platform


class AsSandboxStack(Stack):
    """A stack treated as a sandbox stack, to render it while image digests are missing. Never built."""

    @property
    def config(self) -> dict[str, Any]:
        return {**super().config, f"{self.project.name}:sandbox": "true"}


def find_project(start: Path | str | None = None) -> Project:
    """The project at `start`, or the nearest one from the working folder upward.

    Raises `InputError` if no `Pulumi.yaml` is found.
    """
    if start is not None:
        root = Path(start).resolve()
        if not (root / "Pulumi.yaml").is_file():
            raise InputError(
                "this folder has no Pulumi.yaml",
                where=str(start),
                fix="Give --project the folder of an Isthmus project",
            )
        return Project(root)
    working_folder = Path.cwd().resolve()
    for folder in (working_folder, *working_folder.parents):
        if (folder / "Pulumi.yaml").is_file():
            return Project(folder)
    raise InputError(
        "no Pulumi.yaml in this folder or above it",
        where=str(working_folder),
        fix="Change into an Isthmus checkout, or give its folder with --project DIR",
    )
