"""`isthmus fine-tune RECIPE`: trains an adapter on this machine, and checks a trained one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.option_classes import takes
from isthmus.cli.options import Format, TextOrJson
from isthmus.cli.progress import Display

if TYPE_CHECKING:
    from trainer.manifest import Manifest

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True, kw_only=True)
class FineTuneOptions:
    """Arguments and options of `isthmus fine-tune`."""

    recipe: Annotated[
        Path | None, typer.Argument(metavar="[RECIPE]", help="The recipe, a YAML file.", show_default=False)
    ] = None
    base: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The base model's weights, with their SHA256SUMS.", show_default=False
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Where to write the adapter, its manifest and, until it is done, the checkpoints.",
            show_default=False,
        ),
    ] = None
    signing_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Sign the manifest with this private key (Ed25519).", show_default=False
        ),
    ] = None
    verify: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Check the manifest, the signature and the files of a trained adapter, and end.",
            show_default=False,
        ),
    ] = None
    trained_by: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="With --verify: the public key that must have signed, `ssh-ed25519 BASE64`.",
            show_default=False,
        ),
    ] = None
    format: TextOrJson = Format.text


@app.command()
@takes(FineTuneOptions)
def fine_tune(options: FineTuneOptions) -> None:
    """Train a LoRA adapter of a base model on this machine, by a recipe.

    The first run installs the trainer's libraries (about 6 GB). An interrupted or killed run goes on with the same
    command at its last checkpoint. The exit code is 1 if the recipe may not use its data, or if the adapter knows more
    of them by heart than the recipe allows.
    """
    from isthmus.engine import fine_tuning

    if options.verify is not None:
        _tell(options, fine_tuning.verify(options.verify, options.trained_by), options.verify)
        return
    files = _files(options)
    recipe = fine_tuning.check(files, datetime.now(UTC).date())
    with StepProgress(recipe.name) as progress:
        manifest = fine_tuning.run(files, progress.show)
    _tell(options, manifest, files.output)


def _files(options: FineTuneOptions) -> Any:
    from isthmus.core.errors import InputError
    from isthmus.engine.fine_tuning import Files

    needed = {"RECIPE": options.recipe, "--base": options.base, "-o": options.output}
    if missing := [name for name, value in needed.items() if value is None]:
        raise InputError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            fix="Call `isthmus fine-tune RECIPE --base DIR -o DIR`, or `isthmus fine-tune --verify DIR`",
        )
    assert options.recipe is not None
    assert options.base is not None
    assert options.output is not None
    return Files(options.recipe, options.base, options.output, options.signing_key)


def _tell(options: FineTuneOptions, manifest: Manifest, output: Path) -> None:
    """Print what was trained. Raises `Refused` if it knows too much by heart."""
    from isthmus.cli import console
    from isthmus.core.errors import Refused

    if options.format is Format.json:
        console.print_json(manifest.model_dump(mode="json", by_alias=True))
    else:
        for line in _lines(manifest, output):
            console.out().print(line, markup=False, soft_wrap=True)
    if not manifest.memorisation.passed:
        raise Refused(
            "the adapter knows more of its data by heart than the recipe allows",
            where=str(output),
            fix="Train fewer epochs or with a lower learning rate, or remove what is often repeated in the data",
        )


def _lines(manifest: Manifest, output: Path) -> Iterator[str]:
    metrics, known = manifest.metrics, manifest.memorisation
    yield f"adapter {manifest.name} ({manifest.data_class}) of {manifest.base.model}, {manifest.adapter.size_mib} MiB"
    yield (
        f"loss on {metrics.held_out_examples} examples that were not trained: {metrics.held_out_loss:.3f}, "
        f"{metrics.held_out_loss_base:.3f} without the adapter"
    )
    yield (
        f"memorised: {known.extracted} of {known.examples} answers, {known.canaries_extracted} of {known.canaries} "
        f"canaries, mean exposure {known.mean_exposure_bits:.1f} bits (at most {known.max_exposure_bits:.1f})"
    )
    yield f"groups that every caller must hold: {', '.join(manifest.groups) or 'none'}"
    yield f"licences: {', '.join(manifest.licences)}"
    yield f"signed by {manifest.trained_by}" if manifest.trained_by else "not signed"
    yield f"digest {manifest.adapter.digest}, manifest {output / 'manifest.json'}"


class StepProgress(Display):
    """Progress of a training."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name, self._bar = name, None
        self._words = "starting the trainer; the first time, its libraries are installed"

    def _bars(self) -> Any:
        bars = self._counting()
        self._bar = bars.add_task(self._name, total=None)
        return bars

    def show(self, line: dict[str, Any]) -> None:
        """A line of the trainer."""
        if "step" in line:
            self._words = f"step {line['step']} of {line['steps']}, loss {line['loss']:.3f}"
            if self._live is not None:
                self._live.update(
                    self._bar,
                    completed=line["step"],
                    total=line["steps"],
                    description=f"loss {line['loss']:.3f}",
                )
        elif "stage" in line:
            self._words = line["stage"]
            self._line(line["stage"])

    def _still(self) -> None:
        self._line(self._words)
