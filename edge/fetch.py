"""Fetches weights from an S3-compatible store into a volume, complete and verified, or not at all.

    python -m edge.fetch --endpoint URL --region NAME --bucket NAME --prefix PATH --digest sha256:… \
        --credentials FILE [--ca FILE] [--public-key FILE] [--keep COUNT] FOLDER

The files go into `FOLDER/<hex of the digest>`. The folder has another name until every byte is verified, so that no
model server starts with incomplete weights. Files that are already there and correct are not fetched again. Only
files in the manifest are fetched; other objects below the prefix are ignored. `--keep` deletes versions from earlier
runs, except the ones that were served last. Needs boto3, which the translator's image contains. Exit codes as for
`edge.weights`; 3 also if the store does not provide the files.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from edge import versions, weights

_AT_ONCE = 8


_CONTAINER_VARIABLES = (
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)
"""The variables with which EKS and ECS tell a container where to get its role's credentials."""


def client(endpoint: str | None, region: str, credentials: Path | None, ca: Path | None) -> Any:
    """An S3 client with exactly one identity: the mounted file's or, without a file, the container's role.

    Credentials in environment variables and the role of the node are never used.
    """
    import boto3
    import botocore.session
    from botocore.config import Config

    method, kept_variables = (
        ("shared-credentials-file", ()) if credentials else ("container-role", _CONTAINER_VARIABLES)
    )
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        if name not in kept_variables:
            del os.environ[name]
    session = botocore.session.Session()
    session.set_config_variable("credentials_file", str(credentials or os.devnull))
    session.set_config_variable("config_file", os.devnull)
    session.get_component("credential_provider").providers[:] = [
        provider
        for provider in session.get_component("credential_provider").providers
        if method == provider.METHOD
    ]
    return boto3.Session(botocore_session=session).client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        verify=str(ca) if ca else True,
        config=Config(
            retries={"max_attempts": 8, "mode": "standard"},
            s3={"addressing_style": "path"},
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=_AT_ONCE * 4,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def fetch(
    s3: Any, bucket: str, prefix: str, digest: str, folder: Path, public_key: Path | None = None
) -> tuple[int, int]:
    """Fetch the weights, and return the number and total bytes of the files in `FOLDER/<hex>`. Raises
    `NotAsPromised`, and errors of boto3.
    """
    version_folder = folder / digest.removeprefix("sha256:")
    part_folder = folder / f"{versions.PART}{version_folder.name}"
    if version_folder.is_dir():
        if public_key is not None:
            weights.check_signature(version_folder, public_key)
        return weights.verify(version_folder, digest, _AT_ONCE)
    part_folder.mkdir(parents=True, exist_ok=True)
    text = s3.get_object(Bucket=bucket, Key=f"{prefix}/{weights.NAME}")["Body"].read()
    sha256_by_file = weights.parse(text, digest)
    for leftover in [path for path in part_folder.rglob("*") if not path.is_dir()]:
        # Left by an interrupted attempt: boto3 writes beside a file until it is complete.
        if leftover.relative_to(part_folder).as_posix() not in sha256_by_file:
            leftover.unlink()
    (part_folder / weights.NAME).write_bytes(text)
    if public_key is not None:
        _fetch_file(s3, bucket, f"{prefix}/{weights.SIGNATURE}", part_folder / weights.SIGNATURE, "")
        weights.check_signature(part_folder, public_key)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(
            pool.map(
                lambda name: _fetch_file(
                    s3, bucket, f"{prefix}/{name}", part_folder / name, sha256_by_file[name]
                ),
                sha256_by_file,
            )
        )
    count_and_size = weights.verify(part_folder, digest, _AT_ONCE)
    part_folder.rename(version_folder)
    return count_and_size


def _fetch_file(s3: Any, bucket: str, key: str, file: Path, sha256: str) -> None:
    """Fetch one file, unless an earlier attempt has fetched it."""
    if file.is_file() and weights.sha256(file) == sha256:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(bucket, key, str(file))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="edge.fetch", description="Fetch a model's weights into a volume.")
    for name in ("endpoint", "region", "bucket", "prefix", "digest"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--credentials", required=True, type=Path)
    parser.add_argument("--ca", type=Path)
    parser.add_argument("--public-key", type=Path)
    parser.add_argument(
        "--keep", type=int, help="versions that are kept, 2 or more: pods still read the last one"
    )
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    if options.keep is not None and options.keep < 2:
        parser.error("--keep is 2 or more: pods read the version before this one until they are exchanged")
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    began, present = time.monotonic(), options.digest.removeprefix("sha256:")
    deleted: list[str] = []
    try:
        if options.keep is not None:
            versions.sweep(options.folder, present)
        s3 = client(options.endpoint, options.region, options.credentials, options.ca)
        files, size = fetch(
            s3, options.bucket, options.prefix.strip("/"), options.digest, options.folder, options.public_key
        )
        if options.keep is not None:
            deleted = versions.keep(options.folder, present, options.keep)
    except (weights.NotAsPromised, UnicodeDecodeError) as error:
        print(f"{options.bucket}/{options.prefix}: {error}", file=sys.stderr)
        return 1
    except (Boto3Error, BotoCoreError, ClientError, OSError) as error:
        print(f"{options.bucket}/{options.prefix}: {type(error).__name__}: {error}", file=sys.stderr)
        return 3
    print(f"{files} files, {size} bytes, as {options.digest} says, in {time.monotonic() - began:.1f} s")
    for name in deleted:
        print(f"deleted sha256:{name}, which served before the last {options.keep}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
