"""The surroundings that a run needs: tools, environment variables, reachable clusters."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from isthmus.contracts.platform.lookups.aws import reached_sites
from isthmus.core.errors import EnvironmentFault
from isthmus.engine.kubernetes.client import Cluster, cluster

if TYPE_CHECKING:
    from pathlib import Path

    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.engine.project.project import Stack

_TOOLS = ("pulumi", "pulumi-language-python")
ANSWER_S = 5.0
"""How long a cluster may take to answer."""


def is_sandbox(stack: Stack) -> bool:
    """Whether the stack's configuration says that it lives in the local sandbox (`isthmus:sandbox`)."""
    return stack.sandbox


@contextlib.contextmanager
def run_environment(stack: Stack, home: Path | None = None) -> Iterator[None]:
    """The process environment of a run: the sandbox's for a sandbox stack, else the user's own.

    `home` is the sandbox's, where it is not the default one.

    Raises `EnvironmentFault` where the sandbox is not up or a tool is missing.
    """
    before = dict(os.environ)
    try:
        if is_sandbox(stack):
            _enter_sandbox(stack, home)
        os.environ.setdefault("PULUMI_SKIP_UPDATE_CHECK", "true")
        _check_tools(is_sandbox(stack))
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _enter_sandbox(stack: Stack, home: Path | None) -> None:
    try:
        from sandbox import api
        from sandbox.environment import unset_names
    except ImportError as error:
        raise EnvironmentFault(
            f"stack {stack.name} lives in the sandbox, whose packages are not installed ({error.name})",
            fix="Install them with `make install`",
        ) from None
    try:
        sandbox_environment = api.environment(home)
    except EnvironmentFault as fault:
        requirements = stack.project.stacks_dir / f"{stack.name}.requirements.yaml"
        with contextlib.suppress(ValueError):
            requirements = requirements.relative_to(os.getcwd())  # noqa: PTH109 (only to write the path short)
        raise EnvironmentFault(
            f"stack {stack.name} lives in the sandbox, and {fault.what}",
            where=fault.where,
            fix=f"Run `isthmus sandbox up {requirements}`",
        ) from None
    for name in unset_names():
        os.environ.pop(name, None)
    os.environ.update(sandbox_environment)


def _check_tools(in_sandbox: bool) -> None:
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        fix = (
            "Run `isthmus sandbox install`"
            if in_sandbox
            else "Install Pulumi (https://www.pulumi.com/docs/install)"
        )
        raise EnvironmentFault(f"{' and '.join(missing)} is not on PATH", fix=fix)


def clusters(platform: Platform, stack: Stack) -> dict[str, Cluster]:
    """The cluster of each site that a context leads to, by the site's name, each of which has answered.

    Raises `EnvironmentFault` naming context and address of one that does not, within some seconds.
    """
    sites = reached_sites(platform)
    # The program's own order: the stack's setting, then the variable.
    kubeconfig = stack.kubeconfig
    environment = {**os.environ, "KUBECONFIG": kubeconfig} if kubeconfig else None
    clusters_by_site = {site.name: cluster(site.kube_context or site.name, environment) for site in sites}

    def check_cluster(cluster: Cluster) -> Any:
        return cluster.check(ANSWER_S)

    if clusters_by_site:
        with ThreadPoolExecutor(len(clusters_by_site)) as pool:
            list(pool.map(check_cluster, clusters_by_site.values()))
    return clusters_by_site
