"""The table of tools: what each is for, its version, how it is built, how an official one is known.

One `Tool` may yield several programs: the six of the cluster are one binary under six names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).parent / "modules"

PULUMI = "3.274.1"
KUBERNETES = "1.36.3"
KUBERNETES_PROVIDER = "4.24.0-f47bc2d6f199"
"""Built from a commit of January 2026 for which the module proxy has no tag."""
YAML = "1.25.0"
KWOK = "0.8.0"
REGISTRY = "3.1.2"
SIGNING_HELPER = "1.4.0"
"""The newest that the module proxy serves."""
VEGETA = "12.13.0"


@dataclass(frozen=True)
class Tool:
    """One thing to install."""

    name: str
    version: str
    programs: tuple[str, ...]
    purpose: str
    package: str | None = None
    """What `go build` is given, in folder `modules/<name>`; None: scripts of ours, nothing to compile."""
    link: str = ""
    """Further flags for the linker."""
    typical_s: float = 0.0
    """Seconds that a first build took on two cores; only the estimate of what remains uses it."""
    wanted: bool = True
    """Part of a plain `install`; others are made when named."""

    @property
    def module(self) -> Path:
        """The folder with go.mod, go.sum and perhaps main.go."""
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
    purpose="AWS's credential helper for IAM Roles Anywhere, as it stands beside a translator",
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

TOOLS = (ENGINE, CLUSTER, PROVIDER, HOST, YAML_HOST, HELPER, REGISTRY_SERVER, GENERATOR)
"""In the order of building: the smallest that fails early first, and the largest, which shares with both,
after them."""

VERSION_ARGUMENTS = {
    "pulumi": ("version",),
    "etcd": ("--version",),
    "kube-apiserver": ("--version",),
    "kube-controller-manager": ("--version",),
    "kube-scheduler": ("--version",),
    "kwok": ("--version",),
    "kwokctl": ("--version",),
}
"""How an official program says its version; the plugins do not."""


def tool_of(program: str) -> Tool | None:
    """The tool that yields a program, by the program's name."""
    return next((tool for tool in TOOLS if program in tool.programs), None)


def named(name: str) -> Tool:
    """A tool by its own name or that of one of its programs; KeyError for another."""
    found = next((tool for tool in TOOLS if tool.name == name), None) or tool_of(name)
    if found is None:
        raise KeyError(name)
    return found
