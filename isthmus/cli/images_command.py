"""`isthmus images STACK`: lists images and charts, and resolves their digests."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.options import ProjectDir, StackName

if TYPE_CHECKING:
    from isthmus.contracts.images_lock import ImagesLock
    from isthmus.contracts.platform.model.platform import Images
    from isthmus.engine.images.lock_update import Outcome
    from isthmus.engine.project.project import AsSandboxStack
    from isthmus.reports.images.inventory import Inventory, InventoryItem

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


class Format(StrEnum):
    """How to answer."""

    text = "text"
    json = "json"
    hauler = "hauler"
    zarf = "zarf"


@app.command()
def images(
    stack: StackName,
    format: Annotated[
        Format, typer.Option("--format", help="text, json, or a file for Hauler or Zarf.")
    ] = Format.text,
    resolve: Annotated[
        bool, typer.Option("--resolve", help="First fill the lock's digests from the registries.")
    ] = False,
    registry: Annotated[
        str | None,
        typer.Option(
            "--registry",
            metavar="URL",
            help="With --resolve: ask this mirror in place of each image's own registry.",
            show_default=False,
        ),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="With --resolve: take the digests of moved tags too.")
    ] = False,
    project: ProjectDir = None,
) -> None:
    """List every image and chart that a stack needs, with its digest, to mirror them.

    The list comes from the rendered pods, so it is complete. References and digests are those of images.lock.yaml;
    --resolve fills it. Exit code 1: a tag has moved and --update is not given. 2: a digest is missing (a sandbox
    accepts that). 3: a registry does not answer.
    """  # fmt: skip
    from isthmus.contracts import images_lock
    from isthmus.core.errors import InputError
    from isthmus.engine.project import project as projects

    if (registry or update) and not resolve:
        option = "--registry" if registry else "--update"
        raise InputError("this option needs --resolve", where=option, fix="Add --resolve")
    selected = projects.find_project(project).chosen([stack])
    first_stack = selected[0]
    sandboxed = projects.AsSandboxStack(first_stack.project, first_stack.name)
    file = first_stack.project.images_lock
    lock = images_lock.load(file)
    settings = sandboxed.platform().images
    inventory = _list_images(sandboxed, lock, settings, whole_estate=len(selected) > 1)
    if resolve:
        lock = _resolve_lock(lock, inventory, file, registry, update=update)
        inventory = inventory.with_digests(lock, settings)
    if inventory.unresolved and not first_stack.sandbox:
        raise images_lock.unresolved_error(inventory.unresolved, file, stack)
    _show(inventory, lock, stack, format)


def _list_images(
    stack: AsSandboxStack, lock: ImagesLock, settings: Images, *, whole_estate: bool
) -> Inventory:
    """Render the stack, or all stacks of its estate, and list the images and charts of the resources."""
    from isthmus.engine.render import rendering
    from isthmus.reports.images import inventory as images_inventory

    with rendering.without_garbage_collection():
        rendered_stacks = (
            rendering.render_estate(stack).values() if whole_estate else [rendering.render(stack)]
        )
    return images_inventory.list_images(
        [resource for rendered in rendered_stacks for resource in rendered.resources], lock, settings
    )


def _show(inventory: Inventory, lock: ImagesLock, stack: str, format: Format) -> None:
    """Print the list to stdout."""
    from isthmus.cli import console
    from isthmus.reports.images import mirror_lists

    if format is Format.json:
        console.print_json(mirror_lists.as_data(inventory))
    elif format is Format.text:
        _table(inventory)
    else:
        write_list = mirror_lists.hauler_manifest if format is Format.hauler else mirror_lists.zarf_package
        print(write_list(inventory, lock, stack), end="")


def _resolve_lock(
    lock: ImagesLock, inventory: Inventory, file: Path, registry: str | None, *, update: bool
) -> ImagesLock:
    """Resolve the lock's digests, write the file, and print each result to stderr.

    Raises `Refused` for moved tags, `EnvironmentFault` for failed lookups.
    """
    from isthmus.cli import console
    from isthmus.contracts import images_lock
    from isthmus.core import yaml_files
    from isthmus.core.errors import EnvironmentFault, Refused
    from isthmus.engine.images import lock_update, registry_logins
    from isthmus.engine.images.registry import Registries, parse_mirror

    mirror, tls_hosts = parse_mirror(registry) if registry else (None, frozenset[str]())
    registries = Registries(registry_logins.read_logins(), tls_hosts)
    names: list[images_lock.Image] = [
        name
        for name in images_lock.IMAGES
        if any(item.name == name and item.locked for item in inventory.images)
    ]
    try:
        after, outcomes = lock_update.resolve(
            lock,
            names,
            [chart.name for chart in inventory.charts],
            registries.digest,
            mirror=mirror,
            update=update,
        )
    finally:
        registries.close()
    if after != lock:
        yaml_files.write_text(file, images_lock.text(after))
    for outcome in outcomes:
        console.err().print(_outcome_line(outcome, update=update), markup=False)
    moved = [outcome for outcome in outcomes if outcome.state == "moved" and not update]
    if moved:
        raise Refused(
            "tags have moved since they were locked: "
            + ", ".join(f"{outcome.name} ({outcome.asked})" for outcome in moved),
            where=str(file),
            fix="Find out why; then take the new digests with --update, or lock another tag",
        )
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        raise EnvironmentFault(
            f"not resolved: {', '.join(outcome.name for outcome in failed)}",
            where=str(file),
            fix="See the registries' answers above; digests that were found are in the file",
        )
    return after


def _outcome_line(outcome: Outcome, *, update: bool) -> str:
    outcome_texts = {
        "new": f"resolved to {outcome.now}",
        "same": f"still {outcome.now}",
        "moved": f"moved from {outcome.was} to {outcome.now}, " + ("taken" if update else "left as it is"),
        "failed": f"not resolved. {outcome.why}",
    }
    return f"{outcome.name}: {outcome.asked} {outcome_texts[outcome.state]}"


def _table(inventory: Inventory) -> None:
    from rich import box
    from rich.table import Table

    from isthmus.cli import console

    for title, items in (("image", inventory.images), ("chart", inventory.charts)):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(title, no_wrap=True)
        table.add_column("from, digest, target", overflow="fold")
        table.add_column("needed by")
        for item in items:
            table.add_row(item.name, "\n".join(_lines(item)), "\n".join(item.used_by), end_section=True)
        if items:
            console.out().print(table)


def _lines(item: InventoryItem) -> list[str]:
    return [
        item.upstream or "set in the overrides",
        item.digest or "not resolved",
        item.target or "no registry set",
    ]
