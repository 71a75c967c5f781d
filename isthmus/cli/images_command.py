"""`isthmus images STACK`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.options import ProjectDir, StackName

if TYPE_CHECKING:
    from isthmus.contracts.images_lock import ImagesLock
    from isthmus.engine.images.lock_update import Outcome
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
    from isthmus.cli import console
    from isthmus.contracts import images_lock
    from isthmus.core.errors import InputError
    from isthmus.engine.project import project as projects
    from isthmus.engine.render import rendering
    from isthmus.reports.images import inventory as images_inventory
    from isthmus.reports.images import mirror_lists

    if (registry or update) and not resolve:
        option = "--registry" if registry else "--update"
        raise InputError("this option says how to resolve", where=option, fix="Give --resolve too")
    asked = projects.find_project(project).chosen([stack])
    chosen = asked[0]
    looked = projects.AsSandboxStack(chosen.project, chosen.name)
    file = chosen.project.images_lock
    lock = images_lock.load(file)
    with rendering.without_garbage_collection():
        given = looked.platform().images
        # An estate's images are those of all its stacks.
        parts = rendering.render_estate(looked).values() if len(asked) > 1 else [rendering.render(looked)]
    found = images_inventory.list_images([each for one in parts for each in one.resources], lock, given)
    if resolve:
        lock = _resolved(lock, found, file, registry, update=update)
        found = found.with_digests(lock, given)
    if found.unresolved and not chosen.sandbox:
        raise images_lock.unresolved(found.unresolved, file, stack)
    if format is Format.json:
        console.print_json(mirror_lists.as_data(found))
    elif format is Format.text:
        _table(found)
    else:
        made = mirror_lists.hauler_manifest if format is Format.hauler else mirror_lists.zarf_package
        print(made(found, lock, stack), end="")


def _resolved(
    lock: ImagesLock, found: Inventory, file: Path, registry: str | None, *, update: bool
) -> ImagesLock:
    """The lock with what the registries say, written; told on stderr, what is not as it should be raised."""
    from isthmus.cli import console
    from isthmus.contracts import images_lock
    from isthmus.core import yaml_files
    from isthmus.core.errors import EnvironmentFault, Refused
    from isthmus.engine.images import lock_update, registry_logins
    from isthmus.engine.images.registry import Registries, parse_mirror

    place, tls = parse_mirror(registry) if registry else (None, frozenset[str]())
    asking = Registries(registry_logins.read_logins(), tls)
    names: list[images_lock.Image] = [
        name for name in images_lock.IMAGES if any(one.name == name and one.locked for one in found.images)
    ]
    try:
        after, outcomes = lock_update.resolve(
            lock, names, [one.name for one in found.charts], asking.digest, mirror=place, update=update
        )
    finally:
        asking.close()
    if after != lock:
        yaml_files.write_text(file, images_lock.text(after))
    for each in outcomes:
        console.err().print(_told(each, update=update), markup=False)
    moved = [each for each in outcomes if each.state == "moved" and not update]
    if moved:
        raise Refused(
            "tags have moved since they were locked: "
            + ", ".join(f"{each.name} ({each.asked})" for each in moved),
            where=str(file),
            fix="Find out why; then take what they are now with --update, or lock another tag",
        )
    failed = [each for each in outcomes if each.state == "failed"]
    if failed:
        raise EnvironmentFault(
            f"not resolved: {', '.join(each.name for each in failed)}",
            where=str(file),
            fix="What each registry said stands above; what could be resolved is in the file",
        )
    return after


def _told(outcome: Outcome, *, update: bool) -> str:
    words = {
        "new": f"resolved to {outcome.now}",
        "same": f"still {outcome.now}",
        "moved": f"moved from {outcome.was} to {outcome.now}, " + ("taken" if update else "left as it is"),
        "failed": f"not resolved. {outcome.why}",
    }
    return f"{outcome.name}: {outcome.asked} {words[outcome.state]}"


def _table(found: Inventory) -> None:
    from rich import box
    from rich.table import Table

    from isthmus.cli import console

    for title, items in (("image", found.images), ("chart", found.charts)):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(title, no_wrap=True)
        table.add_column("from, digest, target", overflow="fold")
        table.add_column("needed by")
        for each in items:
            table.add_row(each.name, "\n".join(_lines(each)), "\n".join(each.used_by), end_section=True)
        if items:
            console.out().print(table)


def _lines(item: InventoryItem) -> list[str]:
    return [
        item.upstream or "given in the overrides",
        item.digest or "not resolved",
        item.target or "no registry named",
    ]
