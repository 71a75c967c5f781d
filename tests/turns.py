"""Long test files that take turns: `make test` runs a seventh of them, chosen by the commit; `make soak` runs all.

Most bring up a whole stack of a shape of its own. What they share (an `up`, an unchanged preview, a change, a destroy,
a drift, a killed process) is tested in every run: by `test_up`, `test_recovery` and the tests of single components.

    make test TURN=all    # every turn: before a release, or after a change of the engine
    make test TURN=3      # a turn by its number
"""

from __future__ import annotations

import subprocess
from pathlib import Path

TURNS = (
    (
        "tests/sandbox/test_estate_up.py",
        "tests/sandbox/test_serving_up.py",
        "tests/planning/test_explanation.py",
        "tests/local/test_desk_serving.py",
    ),
    (
        "tests/sandbox/test_readme.py",
        "tests/sandbox/test_pools_up.py",
        "tests/sandbox/test_blueprints_up.py",
        "tests/edge/test_detector_load.py",
        "tests/edge/test_replica_faults.py",
    ),
    (
        "tests/sandbox/test_set_back_up.py",
        "tests/sandbox/test_network_up.py",
        "tests/sandbox/test_identity_up.py",
        "tests/sandbox/test_sagemaker_site_up.py",
        "tests/engine/test_drift.py",
        "tests/cli/test_trust.py",
    ),
    (
        "tests/sandbox/test_cloud_private_up.py",
        "tests/sandbox/test_cloud_managed_up.py",
        "tests/sandbox/test_kept_and_imported.py",
        "tests/aws_sandbox/test_types.py",
        "tests/edge/desk/test_planted.py",
    ),
    (
        "tests/components/test_images_run.py",
        "tests/cli/test_images.py",
        "tests/cli/test_images_resolving.py",
        "tests/engine/test_aws_types.py",
        "tests/alerting/test_real_alerts.py",
    ),
    (
        "tests/sandbox/test_people_up.py",
        "tests/sandbox/test_aws_faults.py",
        "tests/cli/test_ci.py",
        "tests/cli/test_ci_failures.py",
        "tests/cli/test_sanitise.py",
        "tests/engine/test_layers_whole.py",
        "tests/studio/test_studio_browser.py",
        "tests/aws_sandbox/test_lost_answers.py",
        "tests/graders/test_checkov.py",
    ),
    (
        "tests/sandbox/test_slices_and_groups_up.py",
        "tests/sandbox/test_cluster_life.py",
        "tests/sandbox/test_bad_account.py",
        "tests/sandbox/test_programs_up.py",
        "tests/sandbox/test_aws_provider.py",
        "tests/sandbox/test_trail_up.py",
        "tests/components/test_screened_run.py",
    ),
)
"""Some six minutes of tests each while four workers share two cores, as measured on 30 November 2026."""


def turn_of(choice: str, root: Path) -> int | None:
    """The number of the turn that runs: a number, `commit` (by the hash of HEAD), or `all`, which gives None."""
    if choice == "all":
        return None
    if choice == "commit":
        head = subprocess.run(
            ["git", "rev-parse", "--verify", "-q", "HEAD"],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        return int(head or "0", 16) % len(TURNS)
    if choice.isdecimal() and int(choice) < len(TURNS):
        return int(choice)
    raise ValueError(f"--turn {choice}: write all, commit, or a number from 0 to {len(TURNS) - 1}")


def resting(turn: int | None) -> frozenset[str]:
    """Files that do not run in this turn."""
    return frozenset(
        file for number, files in enumerate(TURNS) if turn is not None and number != turn for file in files
    )
