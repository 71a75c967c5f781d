"""Renders a stack: runs its program against a recorder, without engine, cluster or cloud."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from isthmus.contracts.platform.layers import LAYERS
from isthmus.core.errors import InputError, IsthmusError, Where
from isthmus.core.validation_errors import did_you_mean
from isthmus.engine.project.project import Stack
from isthmus.engine.render import own_code

if TYPE_CHECKING:
    from isthmus.engine.render.recorder import Resource


@dataclass(frozen=True)
class Rendered:
    """The rendered resources and outputs of a stack."""

    resources: list[Resource]
    """Sorted by URN."""
    outputs: dict[str, Any]
    """The stack's outputs, secrets masked, unknown values as placeholders."""
    said: frozenset[str] = frozenset()
    """Names of the outputs of its components."""


def render(stack: Stack) -> Rendered:
    """Run the stack's program against a recorder.

    Values that only a cloud or a cluster knows are placeholders. The order of resources does not depend on timing. The
    layers below a layer of an estate are rendered first, for their outputs. Raises the errors of reading the stack's
    files (`InputError`, `Refused`), and those of components.
    """
    if stack.member is None or stack.estate is None:
        if not own_code.file_of(stack).is_file():
            return _run_program(stack, None)
        without = _run_program(stack, None, own=False)
        return _with_marks(without, _run_program(stack, None))
    below = [
        member for member in stack.estate.members if LAYERS.index(member.layer) < LAYERS.index(stack.layer)
    ]
    return _render_in_order([*stack.siblings(below), stack])[stack.name]


def render_estate(stack: Stack) -> dict[str, Rendered]:
    """Render every stack of the estate, the lowest layer first; without an estate, only the stack."""
    members = stack.estate.members if stack.estate is not None else None
    if members is None:
        return {stack.name: render(stack)}
    rendered_by_stack = _render_in_order(stack.siblings(members))
    _check_imports(stack, rendered_by_stack)
    return rendered_by_stack


def _check_imports(stack: Stack, rendered_by_stack: Mapping[str, Rendered]) -> None:
    """Raise `InputError` for an import of an unknown resource. Checked here, since one layer knows only its part."""
    imports = stack.platform().imports
    names = {
        f"{resource.type.rsplit(':', 1)[-1]} {resource.name}"
        for rendered in rendered_by_stack.values()
        for resource in rendered.resources
    }
    for name in imports:
        if name not in names:
            raise InputError(
                f"no layer of the estate has a resource `{name}`",
                where=f"imports.{name}",
                fix=f"{did_you_mean(name, names)} `isthmus preview` and graph.json list the names".lstrip(),
            )


def _render_in_order(stacks: Sequence[Stack]) -> dict[str, Rendered]:
    if not any(own_code.file_of(stack).is_file() for stack in stacks):
        return _run_in_order(stacks)
    # All of them first: once the own code has run, it may have changed what follows in this process.
    without = _run_in_order(stacks, own=False)
    return {name: _with_marks(without[name], rendered) for name, rendered in _run_in_order(stacks).items()}


def _with_marks(without: Rendered, rendered: Rendered) -> Rendered:
    return replace(rendered, resources=own_code.marked(without.resources, rendered.resources))


def _run_in_order(stacks: Sequence[Stack], *, own: bool = True) -> dict[str, Rendered]:
    rendered_by_stack: dict[str, Rendered] = {}
    for stack in stacks:
        rendered_by_stack[stack.name] = _run_program(
            stack, {name: rendered.outputs for name, rendered in rendered_by_stack.items()}, own=own
        )
    return rendered_by_stack


def _run_program(
    stack: Stack, lower_outputs: Mapping[str, Mapping[str, Any]] | None, *, own: bool = True
) -> Rendered:
    """`own`: whether the organisation's own code (`stacks/own.py`) runs too."""
    with without_garbage_collection(), _importing_stacks_from(str(stack.project.root)):
        program = importlib.import_module("stacks.program").program
        try:
            # An older program has fewer parameters, so each is passed only where it says something.
            arguments: dict[str, Any] = {} if lower_outputs is None else {"lower_outputs": lower_outputs}
            if not own:
                arguments["own"] = False
            return record_program(functools.partial(program, **arguments) if arguments else program, stack)
        except IsthmusError as error:
            raise _with_place(error, stack) from error


def record_program(program: Callable[[], Any], stack: Stack) -> Rendered:
    """Like `render`, for any Pulumi program (a function without arguments)."""
    import pulumi
    from pulumi import runtime
    from pulumi.runtime import mocks
    from pulumi.runtime.stack import run_pulumi_func
    from pulumi.runtime.sync_await import _ensure_event_loop, _sync_await

    from isthmus.engine.render.recorder import Placeholders, Recorder, plain, transforms_refused

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
    _forget_earlier_program()
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
    if recorder.get_registered_transforms() or recorder.get_registered_invoke_transforms():
        raise transforms_refused("the stack")
    resources = recorder.recording.resources
    return Rendered(
        [resources[urn] for urn in sorted(resources)], outputs, frozenset(recorder.recording.said)
    )


def _forget_earlier_program() -> None:
    """Reset what the SDK keeps in this process: the root resource of an earlier program, with its outputs and
    transformations, and the pending calls and the error of a failed one.
    """
    from pulumi import runtime

    settings: Any = runtime.settings.SETTINGS
    settings.rpc_manager.clear()
    settings.outputs.clear()
    root = runtime.settings.get_root_resource()
    getattr(root, "outputs", {}).clear()
    if root is not None:
        root._transformations = []


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Disable the garbage collector: scanning the SDK's million permanent objects takes a quarter of a rendering.

    Afterwards the existing objects are frozen, so each rendering keeps some megabytes until the process ends.
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
    """The stack's configuration in the form for a program (text; structures as JSON), and the secret keys.

    Encrypted values cannot be read and are not needed, so they are masked.
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
    """The Isthmus error that caused a Pulumi error; otherwise the error itself."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, IsthmusError):
            return current
        current = current.__cause__ or current.__context__
    return error


def _with_place(error: IsthmusError, stack: Stack) -> IsthmusError:
    """The error with the file of the arguments, because a component does not know it."""
    if ".yaml" in error.where or ".py" in error.where:
        return error
    file = f"{stack.config_file.parent.name}/{stack.config_file.name} and the plan"
    return type(error)(error.what, where=Where(file, None, error.where or None), fix=error.fix)


@contextlib.contextmanager
def _importing_stacks_from(root: str) -> Iterator[None]:
    """Import `stacks` from the project in the body, and restore the previous modules afterwards."""
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
    """Remove the modules of `stacks` from `sys.modules`, and return them."""
    names = [name for name in sys.modules if name == "stacks" or name.startswith("stacks.")]
    return {name: sys.modules.pop(name) for name in names}
