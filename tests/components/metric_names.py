"""Names of metrics: those that our processes export, those of other projects, and those that an expression reads."""

from __future__ import annotations

import re
from pathlib import Path

from edge.config.gateway import Slo
from edge.metrics import Metrics
from isthmus.core import yaml_files
from isthmus.reports import review_calibration_metrics

ROOT = Path(__file__).resolve().parents[2]
NOT_METRICS = re.compile(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|by \([^)]*\)|\b(and|or|unless)\b|\$\w+')
"""Parts of an expression without names of metrics: texts, labels, windows, grouping, operators that are words, and
variables of Grafana."""


def exported() -> set[str]:
    """Names of samples that our processes export, from their registries and sources."""
    metrics = Metrics("internal", [Slo(ttft_p95_ms=1500)])
    metrics.watch_audit(lambda: 0.0)
    metrics.watch_models()
    metrics.outbox_oldest()
    metrics.held_ages()
    names = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", metrics.text().decode(), re.MULTILINE):
        names |= {f"{name}{end}" for end in ("_bucket", "_count", "_sum")} if kind == "histogram" else {name}
    for file in ("edge/detection.py", "edge/audit/sealing.py", "edge/notifier/process.py"):
        source = (ROOT / file).read_text()
        names |= {f"isthmus_{name}" for name in re.findall(r'"([a-z_]+) (?:gauge|counter)"', source)}
        names |= set(re.findall(r"isthmus_[a-z_]+(?= \{)", source))
        names |= {f"isthmus_{name}" for name in re.findall(r'\bgauge\("([a-z_]+)"', source)}
        names |= {f"isthmus_{name}_total" for name in re.findall(r'\bcounter\("([a-z_]+)"', source)}
    source = (ROOT / "edge/usage/process.py").read_text()
    names |= {f"isthmus_usage_{name}" for name in re.findall(r'\bgauge\("([a-z_]+)"', source)}
    names |= {f"isthmus_usage_{name}_total" for name in re.findall(r'\bcounter\("([a-z_]+)"', source)}
    source = Path(review_calibration_metrics.__file__).read_text()
    return names | set(re.findall(r"isthmus_calibration_[a-z_]+", source))


def of_others() -> set[str]:
    """Names that other projects export: where each stands in their sources is in the file."""
    entries = yaml_files.load(ROOT / "tests/components/exporter_metrics.yaml").data["exporters"]
    for entry in entries:
        source = entry["source"]
        assert source["path"], entry
        assert source["repository"] == "prometheus/prometheus" or re.fullmatch(
            r"[0-9a-f]{40}", source["commit"]
        )
    return {name for entry in entries for name in entry["metrics"]}


def names_in(expression: str) -> set[str]:
    """The metrics that an expression reads."""
    rest = expression
    for pattern in ('"[^"]*"', NOT_METRICS):
        rest = re.sub(pattern, " ", rest)
    return set(re.findall(r"(?<![\w.])([a-zA-Z_:][\w:]*)(?![\w:]*\s*\()", rest))
