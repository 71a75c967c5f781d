"""Measures how long commands of the command line take, compared with a bare Python interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import Series, alternate, run, verdict

ROOT = Path(__file__).resolve().parents[1]
RUNS = 7


def _sdk_modules() -> str:
    """The SDK modules that `isthmus render bank-dev` loads, as an import statement."""
    code = (
        "import sys; from isthmus.engine.project.project import find_project;"
        "from isthmus.engine.render.rendering import render;"
        f"render(find_project({str(ROOT)!r}).stack('bank-dev'));"
        "print(','.join(sorted(m for m in sys.modules if m.startswith(('pulumi_kubernetes.', 'pulumi_aws.'))"
        " and m.count('.') <= 2 and '_' not in m.split('.')[-1][:1])))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return "import pulumi, " + process.stdout.strip().replace(",", ", ")


def main() -> bool:
    isthmus = [sys.executable, "-m", "isthmus"]
    env = {key: value for key, value in os.environ.items() if key != "ISTHMUS_HOME"}

    def timed(command: list[str]) -> float:
        return run(command, cwd=ROOT, env=env)

    def compare(
        command: list[str], label: str, baseline: list[str], baseline_label: str, seconds: float
    ) -> bool:
        """Measure both in turns. Whether the command takes at most so many seconds more than the baseline."""
        command_seconds, baseline_seconds = alternate(RUNS, lambda: timed(command), lambda: timed(baseline))
        series = Series(label, command_seconds), Series(baseline_label, baseline_seconds)
        return verdict(*series, share=0.0, seconds=seconds)

    size = [*isthmus, "size", "--model", "meta-llama/Llama-3.3-70B-Instruct", "--gpu", "h100-sxm-80gb"]
    size += ["--prompt-tokens", "2400", "--output-tokens", "450", "--rps", "3.9", "--ttft-ms", "2500"]
    plan = [*isthmus, "plan", "stacks/bank-dev.requirements.yaml"]
    python_alone = ([sys.executable, "-c", "pass"], "python alone")
    print("command line: isthmus --help, at most 0.3 s in all")
    verdicts = [compare([*isthmus, "--help"], "isthmus --help", *python_alone, 0.3)]
    print("command line: isthmus size, at most 0.5 s in all")
    verdicts.append(compare(size, "isthmus size", *python_alone, 0.5))
    print("command line: isthmus plan of the bank, at most 2 s in all")
    verdicts.append(compare(plan, "isthmus plan", *python_alone, 2.0))
    print("command line: isthmus render bank-dev, at most 2 s more than importing its SDK modules")
    with tempfile.TemporaryDirectory() as directory:
        render = [*isthmus, "render", "bank-dev", "-o", f"{directory}/out"]
        imports = [sys.executable, "-c", _sdk_modules()]
        verdicts.append(compare(render, "isthmus render", imports, "imports alone", 2.0))
    return all(verdicts)
