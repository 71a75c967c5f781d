"""The table of tools: purpose, version and build of each.

One `Tool` may have several programs: those of the cluster are one binary under six names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).parent / "modules"

PULUMI = "3.274.1"
KUBERNETES = "1.36.3"
KUBERNETES_PROVIDER = "4.24.0-f47bc2d6f199"
"""A commit of January 2026, for which the module proxy has no tag."""
YAML = "1.25.0"
KWOK = "0.8.0"
REGISTRY = "3.1.2"
SIGNING_HELPER = "1.4.0"
"""The newest version that the module proxy serves."""
VEGETA = "12.13.0"
OAUTH2_PROXY = "7.15.6"
ALERTMANAGER_VERSION = "0.28.1"


@dataclass(frozen=True)
class Tool:
    """One thing to install."""

    name: str
    version: str
    programs: tuple[str, ...]
    purpose: str
    package: str | None = None
    """The package for `go build` in the folder `modules/<name>`. None: a script, nothing to compile."""
    link: str = ""
    """Additional linker flags."""
    typical_s: float = 0.0
    """Seconds of a first build on two cores. Used only to estimate the remaining time."""
    wanted: bool = True
    """True: installed by default. False: installed only if named."""

    @property
    def module(self) -> Path:
        """The folder with go.mod, go.sum and, for some tools, main.go."""
        return MODULES / self.name


CLUSTER = Tool(
    name="cluster",
    version=KUBERNETES,
    programs=("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "kwokctl"),
    purpose="a Kubernetes control plane with simulated nodes",
    package=".",
    link=f"-X k8s.io/component-base/version.gitVersion=v{KUBERNETES}",
    typical_s=296,
)
ENGINE = Tool(
    name="engine",
    version=PULUMI,
    programs=("pulumi",),
    purpose="Pulumi's engine and command line",
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    link=f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{PULUMI}",
    typical_s=272,
)
PROVIDER = Tool(
    name="kubernetes-provider",
    version=KUBERNETES_PROVIDER,
    programs=("pulumi-resource-kubernetes",),
    purpose="Pulumi's Kubernetes provider",
    package=".",
    typical_s=385,
)
HOST = Tool(
    name="language-host",
    version=PULUMI,
    programs=("pulumi-language-python", "pulumi-language-python-exec"),
    purpose="runs Python programs, policy packs and components for the engine",
)
YAML_HOST = Tool(
    name="language-yaml",
    version=YAML,
    programs=("pulumi-language-yaml",),
    purpose="runs Pulumi programs written in YAML",
    package="github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml",
    typical_s=60,
    wanted=False,
)

HELPER = Tool(
    name="signing-helper",
    version=SIGNING_HELPER,
    programs=("aws_signing_helper",),
    purpose="AWS's credential helper for IAM Roles Anywhere, which runs beside a translator",
    package="github.com/aws/rolesanywhere-credential-helper",
    link=f"-X github.com/aws/rolesanywhere-credential-helper/cmd.Version={SIGNING_HELPER}",
    typical_s=22,
    wanted=False,
)

REGISTRY_SERVER = Tool(
    name="registry",
    version=REGISTRY,
    programs=("registry",),
    purpose="the reference registry of the OCI distribution specification, to resolve images against",
    package=".",
    link=f"-X github.com/distribution/distribution/v3/version.version=v{REGISTRY}",
    typical_s=60,
    wanted=False,
)

GENERATOR = Tool(
    name="load-generator",
    version=VEGETA,
    programs=("vegeta",),
    purpose="sends requests at a rate that does not wait for answers, for `bench.edge`",
    package="github.com/tsenart/vegeta/v12",
    typical_s=30,
    wanted=False,
)

SIGN_ON_PROXY = Tool(
    name="sign-on-proxy",
    version=OAUTH2_PROXY,
    programs=("oauth2-proxy",),
    purpose="where people sign on to a chat; `isthmus sandbox serve` installs it",
    package="github.com/oauth2-proxy/oauth2-proxy/v7",
    link=f"-X github.com/oauth2-proxy/oauth2-proxy/v7/pkg/version.VERSION=v{OAUTH2_PROXY}",
    typical_s=48,
    wanted=False,
)

ALERTMANAGER = Tool(
    name="alertmanager",
    version=ALERTMANAGER_VERSION,
    programs=("alertmanager",),
    purpose="gives alerts to people; `isthmus sandbox serve --metrics` and tests of alerts need it",
    package="github.com/prometheus/alertmanager/cmd/alertmanager",
    typical_s=35,
    wanted=False,
)

TOOLS = (
    ENGINE,
    CLUSTER,
    PROVIDER,
    HOST,
    YAML_HOST,
    HELPER,
    REGISTRY_SERVER,
    GENERATOR,
    SIGN_ON_PROXY,
    ALERTMANAGER,
)
"""In build order: ENGINE and CLUSTER first, since they fail early, then PROVIDER, which shares packages with both."""

VERSION_ARGUMENTS = {
    "pulumi": ("version",),
    "etcd": ("--version",),
    "kube-apiserver": ("--version",),
    "kube-controller-manager": ("--version",),
    "kube-scheduler": ("--version",),
    "kwok": ("--version",),
    "kwokctl": ("--version",),
}
"""Arguments with which an official program prints its version. Plugins have none."""


def tool_of(program: str) -> Tool | None:
    """Return the tool that contains a program, or None."""
    return next((tool for tool in TOOLS if program in tool.programs), None)


def find_tool(name: str) -> Tool:
    """Return a tool by its name or the name of one of its programs. Raises `KeyError` if there is none."""
    tool = next((tool for tool in TOOLS if tool.name == name), None) or tool_of(name)
    if tool is None:
        raise KeyError(name)
    return tool
