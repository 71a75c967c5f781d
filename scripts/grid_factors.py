"""Writes the planner's table of grid carbon factors from the npm package `@tgwf/co2`.

    npm pack @tgwf/co2@0.19.0 && tar xzf tgwf-co2-0.19.0.tgz
    python -m scripts.grid_factors package

The package republishes yearly averages of Electricity Maps under the Open Database License; so is the table that is
written.

It has a row for each country of `jurisdictions.PARENTS` that the package knows as a whole.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from isthmus.contracts.reference.jurisdictions import PARENTS
from isthmus.planning.catalogues.tables import DATA

YEAR = 2025
UNIONS = ("eu", "eea")
ZONES = {"uk": "GB"}
"""Jurisdictions whose code is not the ISO code in lower case."""


def read_package(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the package's version and its factors by zone of Electricity Maps."""
    version = json.loads((folder / "package.json").read_text("utf-8"))["version"]
    text = (folder / f"dist/esm/data/electricity-maps/yearly_{YEAR}.js").read_text("utf-8")
    # JavaScript escapes letters as \xE9, which JSON does not know.
    text = re.sub(r"\\x([0-9A-Fa-f]{2})", r"\\u00\1", text[text.index("{") :])
    data, _ = json.JSONDecoder().raw_decode(text)
    return version, data


def rows(version: str, data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each country that the package knows as a whole."""
    evidence = {
        "kind": "estimated",
        "source": f"Electricity Maps, yearly average {YEAR}, in npm @tgwf/co2 {version} (yearly_{YEAR}.js)",
        "as_of": f"{YEAR}-12-31",
        "licence": "ODbL-1.0",
    }
    table = []
    for country in sorted(set(PARENTS) - set(UNIONS)):
        row = data.get(ZONES.get(country, country.upper()))
        if row is None:
            print(f"{country} has no factor as a whole", file=sys.stderr)
            continue
        intensity = row["carbonIntensity"]
        if intensity["unit"] != "gCO2eq/kWh":
            raise ValueError(f"the factor of {country} is in {intensity['unit']}")
        name = row["zone"]["zoneName"]
        table.append(
            {"country": country, "name": name, "g_co2e_per_kwh": intensity["value"], "evidence": evidence}
        )
    return table


def main() -> None:
    """Write `grid_factors.json` beside the other catalogues."""
    version, data = read_package(Path(sys.argv[1]))
    lines = [json.dumps(row, ensure_ascii=False) for row in rows(version, data)]
    (DATA / "grid_factors.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")


if __name__ == "__main__":
    main()
