"""What a shell needs for a plain `pulumi up` against this sandbox, and nothing else.

No variable holds a secret: AWS's keys are dummies, and so is the passphrase. What a user's
own shell may hold that would lead elsewhere is unset or overridden.
"""

from __future__ import annotations

import os
import shlex

from isthmus.core.errors import EnvironmentFault
from sandbox import endpoint
from sandbox.home import Home, write_private
from sandbox.status import missing_processes

REGION = "eu-central-1"
"""AWS_REGION where the requirements name no AWS site."""

UNSET = (
    "PULUMI_CONFIG_PASSPHRASE",  # it would win over the file
    "PULUMI_IGNORE_AMBIENT_PLUGINS",  # the sandbox's plugins are ambient ones
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",  # the sandbox's own address would be passed over
)
"""Variables that must not be set beside those of `variables`."""
UNSET_PREFIX = "AWS_ENDPOINT_URL_"
"""Beginning of more such: a service's own address (`AWS_ENDPOINT_URL_S3`) wins over that of all."""


PASSPHRASE = "isthmus-sandbox"  # noqa: S105
"""Known to everybody, on purpose: a sandbox's stacks hold dummies only. Pulumi writes a salt that belongs to
one passphrase into a stack's settings; with a passphrase of each machine's own, the settings of the
repository would change on every machine, and fail on the next."""


def prepare(home: Home) -> None:
    """Make what outlives the sandbox: Pulumi's folders, our AWS plugin and the passphrase's file."""
    from sandbox.aws import plugin

    plugin.install(home.aws_plugin)
    home.pulumi_state.mkdir(exist_ok=True, mode=0o700)
    home.pulumi.mkdir(exist_ok=True, mode=0o700)
    if not home.passphrase.exists():
        write_private(home.passphrase, PASSPHRASE + "\n")


def variables(home: Home) -> dict[str, str]:
    """Names and values, PATH with this process' own at its end; `EnvironmentFault` where nothing is up."""
    state = home.read_state()
    if "aws" not in state or not home.passphrase.exists():
        raise EnvironmentFault(
            "the sandbox is not up", where=str(home.root), fix="Run `isthmus sandbox up REQUIREMENTS`"
        )
    missing = missing_processes(home)
    if missing:
        raise EnvironmentFault(
            f"of the sandbox, {', '.join(missing)} no longer runs",
            where=str(home.root),
            fix=f"Run `isthmus sandbox up {state.get('requirements', 'REQUIREMENTS')}` to mend it",
        )
    aws = endpoint.address(state["aws"]["port"])
    past_proxies = [entry for entry in os.environ.get("NO_PROXY", "").split(",") if entry]
    loopback = ",".join(dict.fromkeys([*past_proxies, "127.0.0.1", "localhost"]))
    return {
        "PATH": os.pathsep.join([*_folders(home), os.environ.get("PATH", os.defpath)]),
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


def unset() -> list[str]:
    """Names of what to unset: those of `UNSET`, and what this process was given of `UNSET_PREFIX`."""
    return [*UNSET, *sorted(name for name in os.environ if name.startswith(UNSET_PREFIX))]


def kept() -> dict[str, str]:
    """This process' own variables but for those: what `variables` may be laid over."""
    dropped = set(unset())
    return {name: value for name, value in os.environ.items() if name not in dropped}


def shell(home: Home) -> str:
    """Lines for `eval`."""
    lines = [f"unset {' '.join(unset())}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables(home).items()]
    return "\n".join(lines) + "\n"


def _folders(home: Home) -> list[str]:
    """Folders to put before PATH: the toolchain's, and the AWS plugin's; ours only where no real one is.

    A real one may be on PATH, or among the plugins of the user's own PULUMI_HOME, which the sandbox's hides.
    """
    from sandbox import toolchain
    from sandbox.aws import plugin

    folders = [*toolchain.path_entries()]
    for found in (
        toolchain.find(plugin.NAME),
        *(home.pulumi / "plugins").glob(f"resource-aws-v*/{plugin.NAME}"),
    ):
        if found is not None and not plugin.is_ours(found):
            folders.append(found.parent)
            break
    else:
        folders.append(home.aws_plugin)
    present = os.environ.get("PATH", "").split(os.pathsep)
    return [folder for folder in dict.fromkeys(map(str, folders)) if folder not in present]
