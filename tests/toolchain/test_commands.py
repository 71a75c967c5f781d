"""What a newcomer reads when an installer of somebody else fails. The outputs are those of the real programs."""

from __future__ import annotations

import sys

import pytest

from isthmus.core.errors import EnvironmentFault
from sandbox.local import keycloak
from sandbox.toolchain import cache, commands, debian
from tests.graders import actionlint_install, browser_install, coredns_install

NPM = """npm error code ECONNREFUSED
npm error syscall connect
npm error errno ECONNREFUSED
npm error FetchError: request to http://127.0.0.1:9/wrappy failed, reason: connect ECONNREFUSED 127.0.0.1:9
npm error     at ClientRequest.<anonymous> (/usr/lib/node_modules/npm/index.js:130:14)
npm error A complete log of this run can be found in: /tmp/npm/_logs/debug-0.log
"""
MAVEN = """\x1b[0m\x1b[0m[ERROR] Plugin dependency:3.8.1 could not be resolved: Connection refused -> [Help 1]
[ERROR]
[ERROR] To see the full stack trace of the errors, re-run Maven with the -e switch.
[ERROR] Re-run Maven using the -X switch to enable full debug logging.
"""
GO = """go: downloading github.com/rhysd/actionlint v1.7.12
github.com/rhysd/actionlint@v1.7.12: Get "http://127.0.0.1:9/v1.7.12.zip": connection refused
"""
APT = """W: Download is performed unsandboxed as root
E: Failed to fetch http://deb.debian.org/prometheus.deb  Could not connect to 127.0.0.1:9
"""
REASONS = {
    NPM: "ECONNREFUSED; FetchError: request to http://127.0.0.1:9/wrappy failed, reason: connect ECONNREFUSED "
    "127.0.0.1:9",
    MAVEN: "Plugin dependency:3.8.1 could not be resolved: Connection refused -> [Help 1]",
    GO: 'github.com/rhysd/actionlint@v1.7.12: Get "http://127.0.0.1:9/v1.7.12.zip": connection refused',
    APT: "Failed to fetch http://deb.debian.org/prometheus.deb  Could not connect to 127.0.0.1:9",
    "": "it printed no error",
}


@pytest.mark.parametrize("output", REASONS, ids=["npm", "maven", "go", "apt", "silent"])
def test_the_reason_of_a_failure_is_found_in_what_the_program_printed(output: str):
    assert commands.reason(output) == REASONS[output]


def test_a_failed_command_names_what_why_and_what_to_do():
    script = "import sys; sys.exit('fatal: the registry is closed')"
    with pytest.raises(EnvironmentFault) as caught:
        commands.run([sys.executable, "-c", script], "the browser could not be installed", fix="Open it")
    assert str(caught.value) == "the browser could not be installed: the registry is closed. Fix: Open it."
    assert caught.value.exit_code == 3


INSTALLERS = {
    "npm": (browser_install.install, "npm is not on PATH. Fix: Node.js 20 or newer"),
    "actionlint": (actionlint_install.install, "`go` is not on PATH.*Fix: Install Go 1.26"),
    "coredns": (coredns_install.install, "`go` is not on PATH.*Fix: Install Go 1.26"),
    "maven": (lambda: keycloak.install(print), "mvn is not on PATH. Fix: Java 17 and Maven"),
    "apt": (debian.PROMETHEUS.install, "apt-get is not on PATH. Fix: On Debian 12"),
}


@pytest.mark.parametrize("name", INSTALLERS)
def test_without_its_program_an_installer_says_what_is_needed_and_leaves_nothing(cache_root, name):
    install, message = INSTALLERS[name]
    with pytest.raises(EnvironmentFault, match=message):
        install()
    assert not list(cache_root.glob(f"{cache.TEMPORARY_PREFIX}*"))
    assert not [path for path in cache_root.iterdir() if not path.name.endswith(".lock")]
