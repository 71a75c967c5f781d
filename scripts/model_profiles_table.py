"""Writes the table of model profiles in `docs/components-serving.md`: `python -m scripts.model_profiles_table`."""

from __future__ import annotations

from pathlib import Path

from isthmus.contracts.reference.model_profiles import ModelProfile, profiles

DOC = Path(__file__).resolve().parents[1] / "docs" / "components-serving.md"
BEGIN = "<!-- made by `python -m scripts.model_profiles_table` -->"
END = "<!-- end of the model profiles -->"
GPUS = (1, 8)
"""Numbers of GPUs on a machine for which the table shows CPU and memory."""


def table() -> str:
    """The table, with a row for each model family."""
    header = (
        "| family | tool calls | reasoning | chat template | CPU, GiB with 1 GPU | with 8 GPUs | startup, s |"
    )
    return "\n".join([header, "|---" * 7 + "|", *(_row(profile) for profile in profiles())])


def _row(profile: ModelProfile) -> str:
    size = profile.size
    template = f"vLLM's `{Path(profile.chat_template).name}`" if profile.chat_template else "the model's own"
    cells = [
        f"`{profile.family}`",
        f"`{profile.tool_call_parser}`" if profile.tool_call_parser else "none",
        f"`{profile.reasoning_parser}`" if profile.reasoning_parser else "none",
        template,
        *(f"{size.cpus(gpus)}, {size.memory(gpus)}" for gpus in GPUS),
        " to ".join(str(size.startup(gpus)) for gpus in GPUS),
    ]
    return f"| {' | '.join(cells)} |"


def fill_document(text: str) -> str:
    """The text of the document with a new table."""
    before, _, remainder = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{remainder.partition(END)[2]}"


if __name__ == "__main__":
    DOC.write_text(fill_document(DOC.read_text("utf-8")), "utf-8")
