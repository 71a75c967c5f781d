"""The Python language host under the real engine: programs, policy packs, component packages, and their ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from sandbox import toolchain

pytestmark = pytest.mark.sandbox

NEEDED = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec")
VENV = Path(sys.prefix)


class Engine:
    """The engine's command line with a backend and a home of its own."""

    def __init__(self, root: Path) -> None:
        folders = [str(path.parent) for name in NEEDED if (path := toolchain.find(name))]
        self.root = root
        for name in ("state", "home"):
            (root / name).mkdir()
        self.env = {
            "PATH": os.pathsep.join([*folders, "/usr/bin", "/bin"]),
            "HOME": str(root),
            "PULUMI_HOME": str(root / "home"),
            "PULUMI_BACKEND_URL": f"file://{root / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "only for this test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def __call__(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", "--non-interactive", *arguments]
        return subprocess.run(
            command, cwd=cwd, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )

    def start(self, *arguments: str, cwd: Path) -> subprocess.Popen:
        command = ["pulumi", "--non-interactive", *arguments]
        return subprocess.Popen(
            command, cwd=cwd, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


@pytest.fixture
def engine(tmp_path):
    missing = [name for name in NEEDED if toolchain.find(name) is None]
    if missing:
        pytest.fail(f"{', '.join(missing)} not found: run `isthmus sandbox install`")
    return Engine(tmp_path)


def project(root: Path, program: str, folder: str = "app") -> Path:
    """A project whose virtual environment is named relative to its root, as ours does."""
    home = root / folder
    home.mkdir()
    relative = os.path.relpath(VENV, home)
    (home / "Pulumi.yaml").write_text(
        f"name: tiny\nruntime:\n  name: python\n  options:\n    virtualenv: {relative}\n"
    )
    (home / "__main__.py").write_text(textwrap.dedent(program))
    return home


def processes_under(root: Path) -> list[psutil.Process]:
    """Processes whose command line names something below `root`."""
    actual = []
    for process in psutil.process_iter():
        try:
            if any(str(root) in word for word in process.cmdline()):
                actual.append(process)
        except psutil.Error:
            continue
    return actual


def gone(root: Path, within: float) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if not processes_under(root):
            return True
        time.sleep(0.1)
    return False


PROGRAM = """
    import sys
    import pulumi
    config = pulumi.Config()
    print("runs in", sys.prefix)
    class Thing(pulumi.ComponentResource):
        def __init__(self, name):
            super().__init__("tiny:index:Thing", name)
            self.register_outputs({})
    Thing("one")
    pulumi.export("greeting", "hello " + config.require("who"))
    pulumi.export("secret", config.require_secret("word"))
"""


def test_a_program_previews_goes_up_and_is_destroyed(engine):
    app = project(engine.root, PROGRAM)
    assert engine("stack", "init", "dev", cwd=app).returncode == 0
    engine("config", "set", "who", "bank", cwd=app)
    engine("config", "set", "--secret", "word", "swordfish", cwd=app)
    preview = engine("preview", cwd=app)
    assert preview.returncode == 0, preview.stdout + preview.stderr
    assert "tiny:index:Thing" in preview.stdout
    up = engine("up", "--yes", "--skip-preview", cwd=app)
    assert up.returncode == 0, up.stdout + up.stderr
    assert f"runs in {VENV}" in up.stdout, "the program's output or its virtual environment was lost"
    outputs = json.loads(engine("stack", "output", "--json", cwd=app).stdout)
    assert outputs == {"greeting": "hello bank", "secret": "[secret]"}
    assert engine("preview", "--expect-no-changes", cwd=app).returncode == 0
    destroyed = engine("destroy", "--yes", "--skip-preview", cwd=app)
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr
    assert gone(engine.root, 5), f"left behind: {processes_under(engine.root)}"


def test_a_program_that_raises_gives_one_clear_failure(engine):
    app = project(engine.root, 'raise ValueError("no such pool")\n')
    engine("stack", "init", "dev", cwd=app)
    done = engine("up", "--yes", "--skip-preview", cwd=app)
    assert done.returncode != 0
    assert done.stdout.count("ValueError: no such pool") == 1, done.stdout
    assert "exited with" not in done.stdout, "the engine adds a second error to the one that was shown"


def test_a_program_that_exits_says_with_what(engine):
    app = project(engine.root, "import os\nos._exit(7)\n")
    engine("stack", "init", "dev", cwd=app)
    done = engine("preview", cwd=app)
    assert done.returncode != 0
    assert "non-zero exit code: 7" in done.stdout + done.stderr


def test_a_virtual_environment_that_is_not_there_is_named(engine):
    app = project(engine.root, "print('never')\n")
    (app / "Pulumi.yaml").write_text(
        "name: tiny\nruntime: {name: python, options: {virtualenv: no-such-venv}}\n"
    )
    engine("stack", "init", "dev", cwd=app)
    done = engine("preview", cwd=app)
    assert done.returncode != 0
    assert str(app / "no-such-venv") in done.stdout + done.stderr
    assert "never" not in done.stdout


def test_a_mandatory_policy_violation_is_refused(engine):
    app = project(
        engine.root,
        """
        import pulumi
        class Store(pulumi.CustomResource):
            def __init__(self, name):
                super().__init__("pulumi:pulumi:StackReference", name, {"name": "organization/tiny/dev"})
        Store("open")
        """,
    )
    pack = engine.root / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text(
        f"runtime:\n  name: python\n  options:\n    virtualenv: {os.path.relpath(VENV, pack)}\nversion: 0.0.1\n"
    )
    (pack / "__main__.py").write_text(
        textwrap.dedent(
            """
            from pulumi_policy import EnforcementLevel, PolicyPack, StackValidationPolicy
            def refuse(args, report):
                if any(r.resource_type == "pulumi:pulumi:StackReference" for r in args.resources):
                    report("nothing may be open")
            PolicyPack("tiny", policies=[StackValidationPolicy(
                name="nothing-open", description="Nothing is open.",
                enforcement_level=EnforcementLevel.MANDATORY, validate=refuse)])
            """
        )
    )
    engine("stack", "init", "dev", cwd=app)
    refused = engine("preview", "--policy-pack", str(pack), cwd=app)
    assert refused.returncode != 0, refused.stdout
    assert "nothing may be open" in refused.stdout + refused.stderr
    assert "mandatory" in (refused.stdout + refused.stderr).lower()
    assert engine("preview", cwd=app).returncode == 0, "it was not the policy that refused"
    assert gone(engine.root, 5), f"left behind: {processes_under(engine.root)}"


def test_the_schema_of_a_component_package_is_read(engine):
    package = engine.root / "project" / "components"
    package.mkdir(parents=True)
    (package / "PulumiPlugin.yaml").write_text(
        f"runtime:\n  name: python\n  options:\n    virtualenv: {os.path.relpath(VENV, package)}\n"
    )
    (package / "__main__.py").write_text(
        textwrap.dedent(
            """
            from typing import TypedDict
            import pulumi
            from pulumi.provider.experimental import component_provider_host
            class GreeterArgs(TypedDict):
                who: pulumi.Input[str]
            class Greeter(pulumi.ComponentResource):
                greeting: pulumi.Output[str]
                def __init__(self, name: str, args: GreeterArgs, opts: pulumi.ResourceOptions | None = None):
                    super().__init__("tiny:index:Greeter", name, dict(args), opts)
                    self.greeting = pulumi.Output.concat("hello ", args["who"])
                    self.register_outputs({"greeting": self.greeting})
            component_provider_host(name="tiny", components=[Greeter])
            """
        )
    )
    done = engine("package", "get-schema", "./components", cwd=package.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    greeter = json.loads(done.stdout)["resources"]["tiny:index:Greeter"]
    assert greeter["inputProperties"]["who"]["type"] == "string"
    assert greeter["requiredInputs"] == ["who"]
    assert gone(engine.root, 5), f"left behind: {processes_under(engine.root)}"


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_the_program_does_not_outlive_the_engine(engine, sign):
    app = project(engine.root, "import time\nopen('started', 'w').close()\ntime.sleep(100)\n")
    engine("stack", "init", "dev", cwd=app)
    running = engine.start("preview", cwd=app)
    try:
        end = time.monotonic() + 30
        while not (app / "started").exists() and time.monotonic() < end:
            time.sleep(0.1)
        assert (app / "started").exists(), "the program never began"
        running.send_signal(sign)
        assert gone(app, 15), f"still there: {processes_under(app)}"
    finally:
        running.kill()
        output = running.communicate()[0]
        for process in processes_under(engine.root):
            process.kill()
    assert "Traceback" not in output
