"""Prepares what a run needs: tools on PATH, environment variables, reachable clusters."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from isthmus.contracts.platform.lookups.aws import sites_with_known_api_server
from isthmus.core.errors import EnvironmentFault, missing_extra
from isthmus.core.kubernetes_client import KubeClient
from isthmus.engine.project import pins

if TYPE_CHECKING:
    from pathlib import Path

    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.engine.project.project import Stack

_TOOLS = ("pulumi", "pulumi-language-python")
ANSWER_S = 5.0
"""Seconds that a cluster may take to answer."""


def is_sandbox(stack: Stack) -> bool:
    """Whether the stack belongs to the local sandbox (`isthmus:sandbox`)."""
    return stack.sandbox


@contextlib.contextmanager
def run_environment(stack: Stack, home: Path | None = None) -> Iterator[None]:
    """Set the process environment for a run: the sandbox's for a sandbox stack, otherwise the user's own.

    `home`: folder of the sandbox, if not the default.

    Raises `EnvironmentFault` if the sandbox is not up or a tool is missing.
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
        raise missing_extra(
            f"stack {stack.name} is a sandbox stack, but the sandbox's packages are not installed ({error.name})",
            "sandbox",
            target="install",
        ) from None
    try:
        sandbox_environment = api.environment(home)
    except EnvironmentFault as fault:
        requirements = stack.project.stacks_dir / f"{stack.name}.requirements.yaml"
        with contextlib.suppress(ValueError):
            requirements = requirements.relative_to(os.getcwd())  # noqa: PTH109 (only shortens the path)
        raise EnvironmentFault(
            f"stack {stack.name} is a sandbox stack, and {fault.what}",
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
        raise EnvironmentFault(f"{' and '.join(missing)} not found on PATH", fix=fix)


def clusters(platform: Platform, stack: Stack) -> dict[str, KubeClient]:
    """Site → its cluster, for every site with a kubeconfig context. Each cluster has answered.

    Raises `EnvironmentFault`, with context and address, for a cluster that does not answer within `ANSWER_S`, and
    `pins.WrongCluster` for one that is not the pinned one.
    """
    sites = sites_with_known_api_server(platform)
    # The same order as in the program: the stack's setting, then KUBECONFIG.
    kubeconfig = stack.kubeconfig
    environment = {**os.environ, "KUBECONFIG": kubeconfig} if kubeconfig else None
    clusters_by_site = {
        site.name: KubeClient.of_context(site.kube_context or site.name, environment) for site in sites
    }

    def check_cluster(cluster: KubeClient) -> Any:
        return cluster.version(ANSWER_S)

    if clusters_by_site:
        with ThreadPoolExecutor(len(clusters_by_site)) as pool:
            list(pool.map(check_cluster, clusters_by_site.values()))
    pins.check_clusters(platform, clusters_by_site)
    return clusters_by_site
