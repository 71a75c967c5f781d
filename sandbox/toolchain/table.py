"""The table of tools: purpose, version and build of each.

One `Tool` may have several programs: those of the cluster are one binary under six names.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.toolchain import scripts

MODULES = Path(__file__).parent / "modules"

PULUMI = "3.274.1"
KUBERNETES = "1.36.3"
ETCD = "3.6.8"
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
class Release:
    """One file that a tool's publisher offers for Linux: an archive, or a program."""

    address: str
    """`{machine}` stands for the machine, `{package}` for the installed version of `package`."""
    programs: tuple[str, ...]
    """Programs to take from an archive. A file that is not an archive is the only program."""
    machines: Mapping[str, str] = field(default_factory=lambda: {"x86_64": "amd64", "aarch64": "arm64"})
    """The publisher's name of a machine, by Python's."""
    package: str = ""
    """A Python package, if the release must have its version."""
    sha512: Mapping[str, str] = field(default_factory=dict)
    """Digest by machine, in hexadecimal digits."""
    checksums: str = ""
    """Address of the publisher's list of SHA-256. It is read where `sha512` is empty."""

    @property
    def url(self) -> str | None:
        """The publisher's address for this machine. None: there is no release for it."""
        machine = self.machines.get(platform.machine().lower())
        if sys.platform != "linux" or machine is None:
            return None
        return self.address.format(machine=machine, package=self.package_version)

    @property
    def package_version(self) -> str:
        """The installed version of `package`, or an empty text."""
        from importlib import metadata

        return metadata.version(self.package) if self.package else ""


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
    releases: tuple[Release, ...] = field(default=(), repr=False, compare=False)
    """What `install` downloads where it can reach the publisher. Empty: the tool is always built."""

    @property
    def module(self) -> Path:
        """The folder with go.mod, go.sum and, for some tools, main.go."""
        return MODULES / self.name


_GITHUB = "https://github.com"
_PULUMI_RELEASE = f"{_GITHUB}/pulumi/pulumi/releases/download/v{PULUMI}"
_KWOK_RELEASE = f"{_GITHUB}/kubernetes-sigs/kwok/releases/download/v{KWOK}"
_ETCD_RELEASE = f"{_GITHUB}/etcd-io/etcd/releases/download/v{ETCD}"

CLUSTER = Tool(
    name="cluster",
    version=KUBERNETES,
    programs=("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "kwokctl"),
    purpose="a Kubernetes control plane with simulated nodes",
    package=".",
    link=f"-X k8s.io/component-base/version.gitVersion=v{KUBERNETES}",
    typical_s=296,
    releases=(  # small files first
        Release(f"{_KWOK_RELEASE}/kwokctl-linux-{{machine}}", ("kwokctl",)),
        Release(f"{_KWOK_RELEASE}/kwok-linux-{{machine}}", ("kwok",)),
        Release(
            f"{_ETCD_RELEASE}/etcd-v{ETCD}-linux-{{machine}}.tar.gz",
            ("etcd",),
            checksums=f"{_ETCD_RELEASE}/SHA256SUMS",
        ),
        Release(
            f"https://dl.k8s.io/v{KUBERNETES}/kubernetes-server-linux-{{machine}}.tar.gz",
            ("kube-apiserver", "kube-controller-manager", "kube-scheduler"),
            # From CHANGELOG-1.36.md in the Go module k8s.io/kubernetes v1.36.5, read on 2026-12-06.
            sha512={
                "x86_64": "b0fc15554233d9dcf7284bca259bc238aa89003dc2d821f7074f385f3825dead"
                "854ae175482ccb5632a0930ffc1d3c0eff1cda2ada972fba9a5d46033a8b1e52",
                "aarch64": "65c78d6893d683fc5e7f232f8638243886c8b1b7dbe055746ae7d38fdf801645"
                "6b1710ce4fc1133127880a65aed9492f737995694462baad13495a7f3d9ef0c5",
            },
        ),
    ),
)
ENGINE = Tool(
    name="engine",
    version=PULUMI,
    programs=("pulumi",),
    purpose="Pulumi's engine and command line",
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    link=f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{PULUMI}",
    typical_s=272,
    releases=(
        Release(
            f"{_PULUMI_RELEASE}/pulumi-v{PULUMI}-linux-{{machine}}.tar.gz",
            ("pulumi", scripts.EXEC),
            machines={"x86_64": "x64", "aarch64": "arm64"},
            checksums=f"{_PULUMI_RELEASE}/pulumi-{PULUMI}-checksums.txt",
        ),
    ),
)
PROVIDER = Tool(
    name="kubernetes-provider",
    version=KUBERNETES_PROVIDER,
    programs=("pulumi-resource-kubernetes",),
    purpose="Pulumi's Kubernetes provider",
    package=".",
    typical_s=385,
    releases=(
        Release(
            f"{_GITHUB}/pulumi/pulumi-kubernetes/releases/download/v{{package}}/"
            "pulumi-resource-kubernetes-v{package}-linux-{machine}.tar.gz",
            ("pulumi-resource-kubernetes",),
            package="pulumi-kubernetes",
        ),
    ),
)
HOST = Tool(
    name="language-host",
    version=PULUMI,
    programs=("pulumi-language-python", scripts.EXEC),
    purpose="runs Python programs, policy packs and components for the engine",
    releases=ENGINE.releases,  # it takes a script out of the same archive
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
