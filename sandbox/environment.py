"""Environment variables for `pulumi up` against this sandbox.

No variable holds a secret: the AWS keys and the passphrase are dummies. Variables of the user's shell that would
lead to another AWS or another Pulumi backend are unset or overridden.
"""

from __future__ import annotations

import os
import shlex

from isthmus.core.errors import EnvironmentFault
from sandbox import endpoint
from sandbox.home import Home, write_private
from sandbox.status import missing_processes

REGION = "eu-central-1"
"""AWS_REGION if the requirements have no AWS site."""

UNSET = (
    "PULUMI_CONFIG_PASSPHRASE",  # Pulumi prefers it to the passphrase file
    "PULUMI_IGNORE_AMBIENT_PLUGINS",  # Pulumi finds the sandbox's plugins on PATH
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",  # AWS SDKs would ignore the sandbox's address
)
"""Variables that must not be set together with those of `variables`."""
UNSET_PREFIX = "AWS_ENDPOINT_URL_"
"""Variables with this prefix must be unset too: `AWS_ENDPOINT_URL_S3` takes precedence over `AWS_ENDPOINT_URL`."""


PASSPHRASE = "isthmus-sandbox"  # noqa: S105
"""The passphrase is public on purpose: stacks of a sandbox hold dummy secrets only. Pulumi writes a salt into a
stack's settings that belongs to one passphrase. A passphrase for each machine would change the settings in the
repository on each machine."""


def prepare(home: Home) -> None:
    """Create what outlives the sandbox: Pulumi's folders, the AWS plugin and the passphrase file."""
    from sandbox.aws import plugin

    plugin.install(home.aws_plugin)
    home.pulumi_state.mkdir(exist_ok=True, mode=0o700)
    home.pulumi.mkdir(exist_ok=True, mode=0o700)
    if not home.passphrase.exists():
        write_private(home.passphrase, PASSPHRASE + "\n")


def variables(home: Home) -> dict[str, str]:
    """Return the variables by name. PATH ends with this process's PATH.

    Raises `EnvironmentFault` if the sandbox is not up, or only in part.
    """
    state = home.read_state()
    if "aws" not in state or not home.passphrase.exists():
        raise EnvironmentFault(
            "the sandbox is not up", where=str(home.root), fix="Run `isthmus sandbox up REQUIREMENTS`"
        )
    missing = missing_processes(home)
    if missing:
        raise EnvironmentFault(
            f"processes of the sandbox no longer run: {', '.join(missing)}",
            where=str(home.root),
            fix=f"Run `isthmus sandbox up {state.get('requirements', 'REQUIREMENTS')}` to repair it",
        )
    aws = endpoint.address(state["aws"]["port"])
    past_proxies = [host for host in os.environ.get("NO_PROXY", "").split(",") if host]
    loopback = ",".join(dict.fromkeys([*past_proxies, "127.0.0.1", "localhost"]))
    return {
        "PATH": os.pathsep.join([*_path_folders(home), os.environ.get("PATH", os.defpath)]),
        "KUBECONFIG": str(home.kubeconfig),
        "PULUMI_HOME": str(home.pulumi),
        "PULUMI_BACKEND_URL": f"file://{home.pulumi_state}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(home.passphrase),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "AWS_ENDPOINT_URL": aws,
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_REGION": state["aws"]["region"],
        "AWS_DEFAULT_REGION": state["aws"]["region"],
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": loopback,
        "no_proxy": loopback,
        "ISTHMUS_AWS_ENDPOINT": aws,
        "ISTHMUS_HOME": str(home.root),
        "ISTHMUS_SANDBOX": "1",
    }


def unset_names() -> list[str]:
    """Return the variables to unset: those of `UNSET`, and this process's variables with `UNSET_PREFIX`."""
    return [*UNSET, *sorted(name for name in os.environ if name.startswith(UNSET_PREFIX))]


def inherited_variables() -> dict[str, str]:
    """Return this process's variables without those to unset. Add `variables` to them to run Pulumi."""
    unset = set(unset_names())
    return {name: value for name, value in os.environ.items() if name not in unset}


def shell(home: Home) -> str:
    """Return shell lines for `eval` that unset and set the variables."""
    lines = [f"unset {' '.join(unset_names())}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables(home).items()]
    return "\n".join(lines) + "\n"


def _path_folders(home: Home) -> list[str]:
    """Return the folders to put before PATH: those of the toolchain and of the AWS plugin.

    A real AWS plugin on PATH or in the user's PULUMI_HOME has precedence over the sandbox's plugin.
    """
    from sandbox import toolchain
    from sandbox.aws import plugin

    folders = [*toolchain.path_entries()]
    for plugin_path in (
        toolchain.find(plugin.NAME),
        *(home.pulumi / "plugins").glob(f"resource-aws-v*/{plugin.NAME}"),
    ):
        if plugin_path is not None and not plugin.is_ours(plugin_path):
            folders.append(plugin_path.parent)
            break
    else:
        folders.append(home.aws_plugin)
    present = os.environ.get("PATH", "").split(os.pathsep)
    return [folder for folder in dict.fromkeys(map(str, folders)) if folder not in present]
