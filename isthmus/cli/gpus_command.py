"""`isthmus gpus`: the GPUs that can be planned."""

from __future__ import annotations

from typing import Annotated

import typer

from isthmus.cli.options import Format, TextOrJson

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


_TEXTS = ("precisions", "MIG profiles", "instance")
"""Columns that are no numbers."""


@app.command()
def gpus(
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="REGION",
            help="Those with a price in this AWS region, and the price.",
            show_default=False,
        ),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option("--memory", metavar="GIB", help="With so much memory.", show_default=False, min=0),
    ] = None,
    format: TextOrJson = Format.text,
) -> None:
    """List the GPUs that can be planned. `pools[].gpu` of the requirements takes the names in the first column."""
    from isthmus.cli import console
    from isthmus.planning.catalogues.listing import list_gpus

    listed = list_gpus(region, memory)
    if format is Format.json:
        console.print_json([gpu.as_json() for gpu in listed])
        return
    if not listed:
        console.err().print("No GPU of the catalogue is so. Leave an option out.", markup=False)
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("gpu", no_wrap=True)
    columns = ["memory", "bandwidth", "power", "precisions", "MIG profiles"]
    columns += ["instance", "USD per GPU hour"] if region else []
    for column in columns:
        table.add_column(column, justify="left" if column in _TEXTS else "right")
    for gpu in listed:
        row = [
            gpu.gpu,
            f"{gpu.memory_gib:g} GiB",
            f"{gpu.bandwidth_gb_s:,.0f} GB/s",
            f"{gpu.power_w} W",
            " ".join(gpu.precisions),
            " ".join(gpu.mig),
        ]
        row += [f"{gpu.instance} ({gpu.gpus_of_instance})", f"{gpu.usd_per_gpu_hour:g}"] if region else []
        table.add_row(*row)
    console.out().print(table)
