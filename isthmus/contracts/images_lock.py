"""The lock of images and charts, `images.lock.yaml`: where each comes from, and by which digest it is known.

One for the project, committed and reviewed like a plan. People write references and versions; digests come from
`isthmus images STACK --resolve`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, StringConstraints, field_validator, model_validator

from isthmus.contracts.vocabulary import DnsLabel, FilePart, Sha256
from isthmus.core import image_references, yaml_files
from isthmus.core.digests import sha256_of
from isthmus.core.errors import FieldError, InputError, Refused
from isthmus.core.image_references import LOCAL, Reference

FILE = "images.lock.yaml"
Image = Literal[
    "edge",
    "translator",
    "detector",
    "vllm",
    "vllm_cpu",
    "credential_helper",
    "resolver",
    "chat",
    "sign_on",
    "notifier",
    "evaluator",
]
"""What the platform's pods run (`isthmus.contracts.platform.Images` has the same names)."""
IMAGES: tuple[Image, ...] = get_args(Image)
OPTIONAL_IMAGES: tuple[Image, ...] = (
    *("detector", "vllm_cpu", "resolver", "chat", "sign_on", "notifier", "evaluator"),
)
"""Those that a lock may lack where nothing runs them."""
HEADER = """Every image that the platform runs, and the charts of what it needs in a cluster: docs/airgap.md.
References and versions are written by hand, digests by `isthmus images STACK --resolve`."""


class Locked(FilePart):
    """What an image and a chart have in common."""

    purpose: str = Field(min_length=1)
    """What it is for, in words."""
    source: str | None = None
    """What shows that this version is published, and when that was looked up. Only a digest proves it."""
    digest: Sha256 | None = None
    """Of the manifest that the registry gave; null until it is resolved."""


class LockedImage(Locked):
    """An image."""

    reference: str
    """`registry/name:tag`. The registry `localhost`: built from this checkout and pushed nowhere yet."""

    @field_validator("reference")
    @classmethod
    def _by_tag(cls, value: str) -> str:
        try:
            reference = image_references.parse(value)
        except InputError as error:
            raise FieldError(error.what, fix=error.fix) from None
        if reference.digest or not reference.tag:
            raise FieldError(
                f"`{value}` is not a reference by tag",
                fix="Write `registry/name:tag` here, and the digest under `digest`",
            )
        return value

    @property
    def upstream(self) -> Reference:
        return image_references.parse(self.reference)


class LockedChart(Locked):
    """A Helm chart."""

    repository: Annotated[str, StringConstraints(pattern=r"^(oci|https)://[a-z0-9.\-_/:]+$")]
    """Where Helm finds it by its name: `oci://registry/path`, or an `https://` repository with an index."""
    version: Annotated[str, StringConstraints(pattern=r"^v?[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$")]
    """Version of the chart."""
    namespace: DnsLabel
    """Where it is usually installed; Zarf must be told one."""
    provides: list[str] = Field(min_length=1)
    """API groups and resources of pods (`nvidia.com/gpu`) by which a stack shows that it needs this."""

    def upstream(self, name: str) -> Reference | None:
        """In its registry; None where the repository is none."""
        if not self.repository.startswith("oci://"):
            return None
        return image_references.parse(
            f"{self.repository.removeprefix('oci://').rstrip('/')}/{name}:{self.tag}"
        )

    def in_mirror(self, name: str, registry: str) -> Reference:
        """In the organisation's registry; one of a repository with an index stands below `charts/`."""
        return (self.upstream(name) or Reference(LOCAL, f"charts/{name}", self.tag)).at(registry)

    @property
    def tag(self) -> str:
        """The version as a tag: registries allow no `+`, for which Helm writes `_`."""
        return self.version.replace("+", "_")


class ImagesLock(FilePart):
    """The whole file."""

    isthmus: Literal["v1"]
    """Version of the file's format."""
    images: dict[Image, LockedImage]
    """Images that the platform's pods run."""
    charts: dict[DnsLabel, LockedChart] = {}
    """Charts of what the platform needs in a cluster."""

    @model_validator(mode="after")
    def _whole(self) -> ImagesLock:
        missing = [name for name in IMAGES if name not in (*self.images, *OPTIONAL_IMAGES)]
        if missing:
            raise FieldError(
                f"`images` lacks {', '.join(missing)}", "images", fix="Add each with its reference"
            )
        names_by_path: dict[str, str] = {}
        for name, image in self.images.items():
            # Below one registry the names must stay apart, whatever hosts they had.
            path = image.upstream.name
            if path in names_by_path:
                raise FieldError(
                    f"{name} and {names_by_path[path]} would have the same name `{path}` in a mirror",
                    *("images", name, "reference"),
                    fix="Rename one of them, or list the image once",
                )
            names_by_path[path] = name
        for name, chart in self.charts.items():
            try:
                chart.upstream(name)
            except InputError as error:
                raise FieldError(error.what, "charts", name, "repository", fix=error.fix) from None
        return self

    def target(self, name: Image, registry: str) -> str:
        """An image as pods name it, in the organisation's registry.

        One without a digest gets that of its name: a sandbox runs no image, and nothing else may take it.
        """
        image = self.images[name]
        made_up = sha256_of(f"sandbox: {image.reference}")
        return image.upstream.at(registry).by_digest(image.digest or made_up)

    def with_digests(self, images: dict[str, str], charts: dict[str, str]) -> ImagesLock:
        """The same lock with these digests, by name."""
        data = self.model_dump()
        for part, digests in (("images", images), ("charts", charts)):
            for name, digest in digests.items():
                data[part][name]["digest"] = digest
        return ImagesLock.model_validate(data)


def load(path: str | os.PathLike[str]) -> ImagesLock:
    """Read the lock; a fault is an `InputError` with file and line."""
    return yaml_files.parse(ImagesLock, yaml_files.load(path))


def text(lock: ImagesLock) -> str:
    """The lock as its file has it: the same bytes for the same lock."""
    schema = yaml_files.schema_header("docs/schemas/images.json")
    data: dict[str, Any] = {
        "isthmus": lock.isthmus,
        "images": {name: _ordered_fields(image, ("reference",)) for name, image in lock.images.items()},
        "charts": {
            name: _ordered_fields(chart, ("repository", "version", "namespace", "provides"))
            for name, chart in lock.charts.items()
        },
    }
    return yaml_files.dumps(data, f"{schema}\n{HEADER}")


def _ordered_fields(entry: Locked, keys: tuple[str, ...]) -> dict[str, Any]:
    data = entry.model_dump()
    source_key = ("source",) if entry.source is not None else ()
    return {key: data[key] for key in ("purpose", *keys, *source_key, "digest")}


def check_packed(path: Path, digest: str | None, where: str) -> None:
    """Raises where a packed chart is not there, or is another than the one pinned (None: not looked at)."""
    if not path.is_file():
        raise InputError(
            f"the packed chart {path} does not exist", where=where, fix="Download it with `helm pull`"
        )
    actual = sha256_of(path.read_bytes())
    if digest and actual != digest:
        message = f"the chart {path} has digest {actual}, but {digest} is pinned"
        raise Refused(message, where=where, fix="Review what changed, and pin the digest that you trust")


def unresolved_error(message: Mapping[str, str], file: str | os.PathLike[str], stack: str) -> InputError:
    """The error that names all without a digest; `what`: names and where each comes from."""
    listed = ", ".join(f"{name} ({reference})" for name, reference in message.items())
    return InputError(
        f"these have no digest: {listed}",
        where=os.fspath(file),
        fix=f"Run `isthmus images {stack} --resolve` where their registries can be reached, or with "
        "`--registry` and the mirror that holds them, and commit the file",
    )
