"""A stack of the real engine, driven through the Automation API, on an endpoint of its own."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sandbox.aws.endpoint import make_server
from sandbox.aws.plugin import install
from tests.aws_sandbox.driver import REGION, World


@contextlib.contextmanager
def endpoint() -> Iterator[str]:
    """The URL of an endpoint in this process, empty: moto's memory is the process's, not the server's."""
    server = make_server("127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.port}"
    try:
        World(url).forget()
        yield url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def kinds(changes: Any) -> dict[str, int]:
    """How often each operation occurs, from a preview or the summary of an update."""
    return {str(getattr(kind, "value", kind)): count for kind, count in (changes or {}).items()}


class Stack:
    """A stack of the Automation API whose program can be exchanged."""

    def __init__(self, folder: Path, url: str, *, checkpoints: bool = False) -> None:
        """`checkpoints`: the engine writes its state at each step, and not only when a run ends."""
        import pulumi.automation as auto

        state = folder / "state"
        state.mkdir()
        plugin = install(folder / "bin")
        environment = {
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "a passphrase of a test",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PATH": f"{plugin.parent}{os.pathsep}{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": url,
            "PULUMI_SKIP_CHECKPOINTS": str(not checkpoints).lower(),
        }
        self.url = url
        self._own: Callable[[], None] | None = None
        self.program: Callable[[Any, Any], None] = lambda aws, opts: None
        settings = auto.ProjectSettings(name="isthmus-test", runtime="python")
        options = auto.LocalWorkspaceOptions(
            work_dir=str(folder), env_vars=environment, project_settings=settings
        )
        self.stack = auto.create_stack("dev", "isthmus-test", self._run, opts=options)
        self.stack.set_config("pulumi:disable-default-providers", auto.ConfigValue('["aws"]'))

    def own(self, program: Callable[[], None]) -> None:
        """Run a program that brings its own provider."""
        self._own = program

    def _run(self) -> None:
        if self._own:
            self._own()
            return
        import pulumi
        import pulumi_aws as aws

        provider = aws.Provider(
            "aws",
            region=REGION,
            endpoints=[{"s3": self.url, "kms": self.url, "iam": self.url, "sts": self.url}],
            default_tags={"tags": {"owner": "isthmus"}},
            skip_credentials_validation=True,
            access_key=pulumi.Output.secret("sandbox"),
            secret_key=pulumi.Output.secret("sandbox"),
        )
        self.program(aws, lambda **more: pulumi.ResourceOptions(provider=provider, **more))

    def up(self, program: Callable[[Any, Any], None] | None = None) -> Any:
        self.program = program or self.program
        return self.stack.up()

    def outputs(self) -> dict[str, Any]:
        return {name: output.value for name, output in self.stack.outputs().items()}

    def boto(self, service: str) -> Any:
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
