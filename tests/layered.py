"""A platform as one stack and as an estate, both rendered: what each makes, and what a change makes other."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.blueprints.estates import OVERRIDES
from isthmus.cli import main
from isthmus.contracts.platform import overrides as merging
from isthmus.core import yaml_files
from isthmus.engine.project.project import Project
from isthmus.engine.render import rendering
from isthmus.engine.render.recorder import Resource
from tests.blueprints.bank import STACK
from tests.estate import into_layers
from tests.laying import ROOT, lay

DIGITS = re.compile(r"-[0-9a-f]{8}([0-9a-f]{2})?(?![0-9a-z])")
"""At the end of names in AWS: of the stack's name; and of a ConfigMap's, of what it holds, which is compared itself."""


@dataclass(frozen=True)
class Case:
    """A platform as one stack and as an estate."""

    project: Project
    name: str
    whole: rendering.Rendered
    parts: dict[str, rendering.Rendered]

    @property
    def last(self) -> str:
        """Its only serving stack, or the one of the model that the test is about."""
        return f"{self.name}-models"

    def release(self, change: Callable[[dict[str, Any]], object]) -> dict[str, rendering.Rendered]:
        """The estate after a change of its overrides, which is taken back."""
        file = self.project.stacks_dir / f"{self.name}{OVERRIDES}"
        before = file.read_text()
        data = yaml_files.load(file).data
        change(data)
        yaml_files.dump(data, "", file)
        try:
            return rendering.render_estate(self.project.stack(self.last))
        finally:
            file.write_text(before)

    def changed(self, change: Callable[[dict[str, Any]], object]) -> dict[str, set[str]]:
        """By stack, the resources that a change of the overrides makes other than they were, and outputs."""
        changed_resources: dict[str, set[str]] = {}
        for stack, after in self.release(change).items():
            before, now = (
                {resource.urn: resource.as_json() for resource in rendered_stack.resources}
                for rendered_stack in (self.parts[stack], after)
            )
            urns = {urn for urn in before.keys() | now.keys() if before.get(urn) != now.get(urn)}
            outputs = {
                f"output {key}"
                for key, value in after.outputs.items()
                if self.parts[stack].outputs.get(key) != value
            }
            changed_resources[stack] = {urn.rpartition("::")[2] for urn in urns} | outputs
        return changed_resources


def case(
    folder: Path,
    name: str,
    expected: str | None,
    more: dict[str, Any],
    serves: dict[str, Any],
) -> Case:
    """`wanted`: an example, of which `isthmus init` makes a stack; None: the bank's."""
    projects = []
    for variant in ("alone", "layers"):
        root = folder / variant
        lay(root, bank=expected is None)
        if expected is not None:
            _init(root, name, expected)
        else:
            for part in ("requirements.yaml", "plan.yaml"):
                (root / "stacks" / f"{STACK}.{part}").rename(root / "stacks" / f"{name}.{part}")
            (root / "stacks" / f"Pulumi.{STACK}.yaml").rename(root / "stacks" / f"Pulumi.{name}.yaml")
        file = root / "stacks" / f"Pulumi.{name}.yaml"
        settings = yaml_files.load(file).data
        config = settings["config"]
        config["isthmus:overrides"] = merging.merge(config["isthmus:overrides"], more)
        yaml_files.dump(settings, "", file)
        projects.append(into_layers(root, name, serves) if variant == "layers" else Project(root))
    alone, layered = projects
    estate = rendering.render_estate(layered.stack(f"{name}-foundation"))
    return Case(layered, name, rendering.render(alone.stack(name)), estate)


def _init(root: Path, name: str, example: str) -> None:
    file = ROOT / "examples" / f"{example}.requirements.yaml"
    arguments = ["init", name, "--requirements", str(file), "--sandbox", "--as-of", "2026-11-25"]
    string_io = io.StringIO()
    with contextlib.redirect_stdout(string_io), contextlib.redirect_stderr(string_io):
        assert main([*arguments, "--project", str(root)]) == 0, string_io.getvalue()[-2000:]


def resources_by_name(rendered: rendering.Rendered) -> dict[tuple[str, str], Resource]:
    return {(resource.type, resource.name): resource for resource in rendered.resources if resource.made}


def plain(resource: Resource) -> Any:
    """What is asked for, but for the ends of names in AWS, the name of the stack that it is tagged with, and what only
    a stack that serves models itself can tell its gateways: the digests of their weights."""
    text = without_digests(DIGITS.sub("-*", json.dumps(resource.inputs, sort_keys=True)))
    body = json.loads(text)
    for tags in ("tags", "tagsAll"):
        if isinstance(body.get(tags), dict):
            body[tags].pop("isthmus-stack", None)
    return body


def without_digests(text: str) -> str:
    """A gateway's configuration without what a release decides (digests, requests at once), and without the ends of
    names that follow from its text.
    """
    text = re.sub(r"\\n *(model_digest: sha256:[0-9a-f]{64}|(concurrency|replicas): [0-9]+)", "", text)
    return re.sub(r"(gateway-config-|policy: config-)[0-9a-f]+", r"\1*", text)


def stable_name(key: tuple[str, str]) -> tuple[str, str]:
    """Kind and name; some names end as those in AWS do."""
    return key[0], DIGITS.sub("-*", key[1])


def kinds(rendered: rendering.Rendered, ending: str = "") -> set[str]:
    return {key[0].rpartition(":")[2] for key in resources_by_name(rendered) if key[1].endswith(ending)}


def layers_of_kind(case: Case, kind: str) -> dict[str, str]:
    """By name, the stack that makes each resource of a kind."""
    return {
        name: stack.removeprefix(f"{case.name}-")
        for stack, layer in case.parts.items()
        for (type_, name) in resources_by_name(layer)
        if type_.endswith(f":{kind}")
    }
