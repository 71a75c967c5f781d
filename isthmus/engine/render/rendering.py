"""Every resource of a stack, with no engine, no cluster and no cloud."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from isthmus.contracts.platform.layers import LAYERS
from isthmus.core.errors import InputError, IsthmusError, Where
from isthmus.core.validation_errors import did_you_mean
from isthmus.engine.project.project import Stack

if TYPE_CHECKING:
    from isthmus.engine.render.recorder import Resource


@dataclass(frozen=True)
class Rendered:
    """A stack as its program asks for it."""

    resources: list[Resource]
    """Sorted by URN."""
    outputs: dict[str, Any]
    """The stack's outputs, secrets masked, unknown values as placeholders."""
    said: frozenset[str] = frozenset()
    """Names of what its components say of themselves."""


def render(stack: Stack) -> Rendered:
    """Run the stack's program against a recorder.

    Raises what reading the stack's files raises (`InputError`, `Refused`), and what a component refuses.
    Placeholders stand for values that only a cloud or a cluster knows. The order does not depend on timing.
    A layer of an estate is rendered upon what those below it are rendered to give.
    """
    if stack.member is None or stack.estate is None:
        return _run_program(stack, None)
    below = [
        member for member in stack.estate.members if LAYERS.index(member.layer) < LAYERS.index(stack.layer)
    ]
    return _render_in_order([*stack.siblings(below), stack])[stack.name]


def render_estate(stack: Stack) -> dict[str, Rendered]:
    """Every stack of a stack's estate, the lowest layer first; the stack alone where it is of none."""
    members = stack.estate.members if stack.estate is not None else None
    if members is None:
        return {stack.name: render(stack)}
    rendered_by_stack = _render_in_order(stack.siblings(members))
    _check_imports(stack, rendered_by_stack)
    return rendered_by_stack


def _check_imports(stack: Stack, rendered_by_stack: Mapping[str, Rendered]) -> None:
    """Raise `InputError` for an import that no layer makes: each one's run knows its own part alone."""
    imports = stack.platform().imports
    names = {
        f"{resource.type.rsplit(':', 1)[-1]} {resource.name}"
        for rendered in rendered_by_stack.values()
        for resource in rendered.resources
    }
    for name in imports:
        if name not in names:
            raise InputError(
                f"no layer of the estate makes `{name}`",
                where=f"imports.{name}",
                fix=f"{did_you_mean(name, names)} Names stand in a preview, and in graph.json".lstrip(),
            )


def _render_in_order(stacks: Sequence[Stack]) -> dict[str, Rendered]:
    rendered_by_stack: dict[str, Rendered] = {}
    for stack in stacks:
        rendered_by_stack[stack.name] = _run_program(
            stack, {name: rendered.outputs for name, rendered in rendered_by_stack.items()}
        )
    return rendered_by_stack


def _run_program(stack: Stack, lower_outputs: Mapping[str, Mapping[str, Any]] | None) -> Rendered:
    with without_garbage_collection(), _importing_stacks_from(str(stack.project.root)):
        program = importlib.import_module("stacks.program").program
        try:
            # A project's program may be older than estates are: it is asked as it always was.
            return record_program(
                program if lower_outputs is None else functools.partial(program, given=lower_outputs), stack
            )
        except IsthmusError as error:
            raise _with_place(error, stack) from error


def record_program(program: Callable[[], Any], stack: Stack) -> Rendered:
    """As `render`, of any Pulumi program (a function of no arguments)."""
    import pulumi
    from pulumi import runtime
    from pulumi.runtime import mocks
    from pulumi.runtime.stack import run_pulumi_func
    from pulumi.runtime.sync_await import _ensure_event_loop, _sync_await

    from isthmus.engine.render.recorder import Placeholders, Recorder, plain

    _ensure_event_loop()
    recorder = Recorder()
    logger = logging.getLogger("isthmus.render")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    mocks.set_mocks(
        Placeholders(),
        project=stack.project.name,
        stack=stack.name,
        preview=False,
        logger=logger,
        monitor=recorder,
        organization="organization",
    )
    # The SDK keeps the root of a program that ran before in this process, with that program's outputs and
    # what it had every resource changed by; of one that failed, what it was still waiting for and its error.
    settings: Any = runtime.settings.SETTINGS
    settings.rpc_manager.clear()
    settings.outputs.clear()
    root = runtime.settings.get_root_resource()
    getattr(root, "outputs", {}).clear()
    if root is not None:
        root._transformations = []
    setattr(runtime.settings.SETTINGS, "root_directory", str(stack.project.root))  # noqa: B010
    config, secrets = program_configuration(stack)
    runtime.set_all_config(config, secrets)
    outputs: dict[str, Any] = {}

    async def resolve(value: Any) -> Any:
        from pulumi.runtime import rpc

        return plain(await rpc.serialize_property(value, [], None))

    async def run_program() -> None:
        program()

    async def resolve_outputs() -> None:
        root = runtime.settings.get_root_resource()
        for name, value in sorted(getattr(root, "outputs", {}).items()):
            outputs[name] = await resolve(value)

    try:
        _sync_await(run_pulumi_func(run_program))
        _sync_await(run_pulumi_func(resolve_outputs))
    except pulumi.RunError as error:
        raise _own_error(error) from error
    resources = recorder.recording.resources
    return Rendered(
        [resources[urn] for urn in sorted(resources)], outputs, frozenset(recorder.recording.said)
    )


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """No garbage is looked for: over the SDK's million objects, which stay, that is a quarter of a rendering's time.

    Nor is it later, in what there is by then: some megabytes stay for good with each rendering.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def program_configuration(stack: Stack) -> tuple[dict[str, str], list[str]]:
    """The stack's configuration as the engine hands it to a program (text; structures as JSON).

    An encrypted value cannot be read here and is not needed: a placeholder stands for it.
    """
    from isthmus.core.pulumi_values import MASK

    values: dict[str, str] = {}
    secrets: list[str] = []
    for key, value in stack.config.items():
        if isinstance(value, dict) and set(value) == {"secure"}:
            values[key] = MASK
            secrets.append(key)
        elif isinstance(value, str):
            values[key] = value
        else:
            values[key] = json.dumps(value, ensure_ascii=False)
    return values, secrets


def _own_error(error: BaseException) -> BaseException:
    """Our own error below Pulumi's, where there is one."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, IsthmusError):
            return current
        current = current.__cause__ or current.__context__
    return error


def _with_place(error: IsthmusError, stack: Stack) -> IsthmusError:
    """A component knows its arguments and no file: name the one from which they came."""
    if ".yaml" in error.where:
        return error
    file = f"{stack.config_file.parent.name}/{stack.config_file.name} and the plan"
    return type(error)(error.what, where=Where(file, None, error.where or None), fix=error.fix)


@contextlib.contextmanager
def _importing_stacks_from(root: str) -> Iterator[None]:
    """The project's own `stacks`, wherever Isthmus itself is imported from; afterwards what was there before."""
    loaded = sys.modules.get("stacks")
    where = getattr(loaded, "__file__", None) or next(iter(getattr(loaded, "__path__", [])), "")
    before: dict[str, ModuleType] = {}
    swapped = not str(where).startswith(root)
    if swapped:
        before = _remove_stack_modules()
    sys.path.insert(0, root)
    try:
        yield
    finally:
        sys.path.remove(root)
        if swapped:
            _remove_stack_modules()
            sys.modules.update(before)


def _remove_stack_modules() -> dict[str, ModuleType]:
    """The modules of `stacks`, no longer among the loaded ones."""
    names = [name for name in sys.modules if name == "stacks" or name.startswith("stacks.")]
    return {name: sys.modules.pop(name) for name in names}
