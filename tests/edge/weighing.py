"""Files of a small model and an S3 service that holds them, for tests of weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.edge.processes import ROOT

FILES = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"]}',
    "model-00001-of-00002.safetensors": b"\x00" * 5_000_000,
    "model-00002-of-00002.safetensors": b"\x01" * 300,
    "adapters/kyc/adapter_model.safetensors": b"\x02" * 40,
}


def run(*arguments: str, module: str = "edge.weights", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def signed(folder: Path) -> str:
    """Write the manifest of the folder. Returns its digest."""
    done = run("manifest", str(folder))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


STRANGE = {
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
}


class Store:
    """An S3 service with the model, and the file with its credentials."""

    def __init__(self, url: str, model: Path, folder: Path) -> None:
        import boto3

        self.digest = signed(model)
        self.credentials = folder / "credentials"
        self.credentials.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
        self.url, self.volume = url, folder / "volume"
        self.volume.mkdir()
        self.s3: Any = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        self.s3.create_bucket(Bucket="models")
        for path in model.rglob("*"):
            if path.is_file():
                self.s3.upload_file(str(path), "models", f"llama/v1/{path.relative_to(model).as_posix()}")

    def fetch(self, **more: str) -> subprocess.CompletedProcess[str]:
        # Identities and proxies in the environment must have no effect.
        return run(*self._flags(**more), module="edge.fetch", **STRANGE)

    def fetching(self, **more: str) -> subprocess.Popen[bytes]:
        """Start `edge.fetch` and return the running process."""
        command = [sys.executable, "-m", "edge.fetch", *self._flags(**more)]
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **STRANGE})

    def _flags(self, **more: str) -> list[str]:
        flags = {
            "endpoint": self.url,
            "region": "us-east-1",
            "bucket": "models",
            "prefix": "llama/v1",
            "digest": self.digest,
            "credentials": str(self.credentials),
            **more,
        }
        return [*(part for key, value in flags.items() for part in (f"--{key}", value)), str(self.volume)]

    @property
    def fetched(self) -> Path:
        return self.volume / self.digest.removeprefix("sha256:")
