"""What all tests share: which of them are fast enough for `make check`, and which must not run side by side."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests import preloaded, turns

# Most of what lives in a worker are the SDK's classes, which stay: looking through them is a quarter of the time.
gc.set_threshold(500_000, 20, 100)
# Engine and providers, which are started by the hundred, have their memory for a short time only.
os.environ.setdefault("GOGC", "400")
# A shell starts what it runs with `&` deaf to it, and with that all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("usual", max_examples=60, deadline=None)
settings.load_profile("usual")
settings.register_profile("quick", max_examples=25, deadline=None)
"""`make check`: a look at each property at every save; `make test` looks closer."""
settings.register_profile("soak", max_examples=2000, deadline=None)
"""`make soak`: properties tried on many more inputs."""

HERE = Path(__file__).parent
SERVICES = (
    "local",
    "edge",
    "aws_sandbox",
    "toolchain",
    "cluster",
    "host",
    "cli",
    "graders",
    "fences",
    "boundary",
)
"""Rooms whose tests start services or programs of their own: seconds each, so not for every save."""
SLOW = (
    "tests/bench/test_breaking.py",
    "tests/bench/test_gpu.py",
    "tests/bench/test_replay.py",
    "tests/bench/test_rival.py",
    "tests/bench/test_simulate.py",
    "tests/calibration/test_calibration.py",
    "tests/calibration/test_simulated.py",
    "tests/blueprints/test_blueprints_assembly.py",
    "tests/blueprints/test_operator_charts.py",
    "tests/blueprints/test_examples.py",
    "tests/blueprints/test_image_digests.py",
    "tests/core/test_file_cache.py",
    "tests/blueprints/test_rendering.py",
    "tests/blueprints/test_reviewed.py",
    "tests/blueprints/test_trial.py",
    "tests/components/test_ip_addresses.py",
    "tests/components/test_adoption.py",
    "tests/components/test_budgets.py",
    "tests/components/test_canaries.py",
    "tests/components/test_compile_cache.py",
    "tests/components/test_components_docs.py",
    "tests/components/test_cpu_engine.py",
    "tests/components/test_edge_files.py",
    "tests/components/test_eks.py",
    "tests/components/test_fargate_gateway.py",
    "tests/components/test_fargate_platform.py",
    "tests/components/test_first_step.py",
    "tests/components/test_gateway_callers.py",
    "tests/components/test_gateways.py",
    "tests/components/test_gpu_operator.py",
    "tests/components/test_replica_groups.py",
    "tests/components/test_layers.py",
    "tests/components/test_retention.py",
    "tests/components/test_llm_platform.py",
    "tests/components/test_mig.py",
    "tests/components/test_moves.py",
    "tests/components/test_aws_names.py",
    "tests/components/test_name_resolver.py",
    "tests/components/test_node_cache.py",
    "tests/components/test_people.py",
    "tests/components/test_pod_priorities.py",
    "tests/components/test_pool_settings.py",
    "tests/components/test_queues.py",
    "tests/components/test_records_in_aws.py",
    "tests/components/test_rendered_reviews.py",
    "tests/components/test_rendered_run.py",
    "tests/components/test_reviews_in_aws.py",
    "tests/components/test_review_service.py",
    "tests/components/test_router.py",
    "tests/components/test_sagemaker_endpoint.py",
    "tests/components/test_sagemaker_platform.py",
    "tests/components/test_screened_run.py",
    "tests/components/test_screening.py",
    "tests/components/test_sealers.py",
    "tests/components/test_site_link.py",
    "tests/components/test_trail_alarms.py",
    "tests/components/test_translator_proxy.py",
    "tests/engine/test_drift.py",
    "tests/engine/test_gitops.py",
    "tests/engine/test_kubernetes_objects.py",
    "tests/engine/test_layers_rendered.py",
    "tests/engine/test_layers_whole.py",
    "tests/engine/test_previewed_events.py",
    "tests/engine/test_preview.py",
    "tests/engine/test_images_registry.py",
    "tests/engine/test_commit_pair.py",
    "tests/engine/test_watchdog.py",
    "tests/engine/test_base_and_head.py",
    "tests/mutation/test_operators.py",
    "tests/mutation/test_policies.py",
    "tests/mutation/test_source.py",
    "tests/planning/test_ways_out_applied.py",
    "tests/planning/test_any_hardware.py",
    "tests/planning/test_availability_model.py",
    "tests/planning/test_comparison.py",
    "tests/planning/test_explanation.py",
    "tests/planning/test_bounds.py",
    "tests/planning/test_hardware.py",
    "tests/planning/test_node_placement.py",
    "tests/planning/test_planner.py",
    "tests/planning/test_random_plans.py",
    "tests/planning/test_throughput.py",
    "tests/policies/test_bank_boundaries.py",
    "tests/policies/test_boundary_rows_of_own_objects.py",
    "tests/policies/test_mutated_networks.py",
    "tests/policies/test_pack_over_a_standing_stack.py",
    "tests/policies/test_reviews_in_aws.py",
    "tests/policies/test_sealers_in_aws.py",
    "tests/reports/test_comparison_page.py",
    "tests/reports/test_hosted.py",
    "tests/reports/test_network_diagram.py",
    "tests/reports/test_comparison_page_browser.py",
    "tests/reports/test_preview_page_browser.py",
    "tests/reports/test_reconciliation_page_browser.py",
    "tests/reports/test_preview_reports.py",
    "tests/stacks/test_lock.py",
    "tests/stacks/test_own_resources.py",
    "tests/policies/test_boundary_rows_of_guards.py",
    "tests/policies/test_own_aws.py",
    "tests/studio/test_server.py",
    "tests/studio/test_studio_browser.py",
    "tests/planning/test_ways_out_enumerated.py",
    "tests/blueprints/test_generated_requirements.py",
    "tests/discovery/test_usage_exports.py",
    "tests/usage/bills/test_month.py",
    "tests/usage/bills/test_reading.py",
)
"""Files whose tests take seconds each for another reason: not for every save either."""
TOGETHER = {
    # One stack, one set of policies and a few GPUs in the one shared cluster.
    "tests/graders/test_api_server.py": "cluster",
    "tests/sandbox/test_admission.py": "cluster",
    "tests/sandbox/test_cluster.py": "cluster",
    "tests/sandbox/test_readme.py": "cluster",
    "tests/sandbox/test_up.py": "cluster",
    # One sandbox with one site, and one stack in it at a time.
    "tests/sandbox/test_bad_account.py": "site",
    "tests/sandbox/test_people_up.py": "site",
    "tests/sandbox/test_programs_up.py": "site",
    "tests/sandbox/test_serving_up.py": "site",
    "tests/sandbox/test_slices_and_groups_up.py": "site",
    # A sandbox of their own each: one more at a time is enough.
    "tests/sandbox/test_cluster_life.py": "life",
    "tests/sandbox/test_down_and_up.py": "life",
    "tests/sandbox/test_recovery.py": "life",
    # They read one rendering of the bank, or one build of its platform, and the SDK is loaded once for them.
    "tests/components": "bank",
    "tests/reports": "bank",
    "tests/stacks": "bank",
    "tests/engine/test_preflight.py": "bank",
    # Every example rendered in memory; the stacks that operators change.
    "tests/graders/test_paths.py": "examples",
    "tests/graders/test_policies.py": "examples",
    "tests/mutation": "mutation",
    # One rendering, and namespaces made once.
    "tests/fences": "fences",
    # One detector each, whose patterns are compiled once.
    "tests/edge/redaction": "redaction",
    "tests/edge/screening": "screening",
    "tests/edge/privacy": "privacy",
}
"""Files, or rooms of files, that one worker runs, one after the other."""
FIRST = (
    *("cluster", "site", "tests/sandbox/test_estate_up.py", "bank", "life"),
    *("tests/sandbox/test_cloud_private_up.py", "tests/sandbox/test_cloud_managed_up.py"),
    *("tests/sandbox/test_pools_up.py", "tests/sandbox/test_blueprints_up.py"),
    *("tests/cli/test_images_resolving.py", "tests/engine/test_drift.py", "tests/edge/test_connections.py"),
)
"""What takes longest begins first, so that no worker is alone with it at the end; the longest first."""
LAST = (
    "tests/sandbox/test_readme.py",
    "tests/sandbox/test_programs_up.py",
    "tests/sandbox/test_bad_account.py",
)
"""What runs after the other files of its group, in this order: it takes over another's stack, or leaves its own."""
ALONE = "tests/sandbox/test_recovery_whole.py"
"""Whose every test takes the better part of an hour: whichever worker is free runs the next."""


RESTING = pytest.StashKey[frozenset[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--turn", default="all", help="which long files run: all, commit or a number (tests/turns.py)"
    )


def pytest_configure(config: pytest.Config) -> None:
    if "not soak" not in (config.getoption("markexpr") or ""):
        os.environ.setdefault(preloaded.SWITCH, "0")
    try:
        turn = turns.turn_of(str(config.getoption("turn")), HERE.parent)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[RESTING] = turns.resting(turn)
    if turn is not None and not hasattr(config, "workerinput"):
        last = len(turns.TURNS) - 1
        print(
            f"Long files of turn {turn} (of 0 to {last}) run, see tests/turns.py. `make test TURN=all` runs all."
        )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Rooms and files of which nothing is asked for are not even loaded: half of the time until the first test."""
    marks = config.getoption("markexpr") or ""
    file = f"tests/{collection_path.relative_to(HERE).as_posix()}"
    if file in config.stash[RESTING]:
        return True
    if "not service" in marks and collection_path.suffix == ".py":
        return file in SLOW or None
    if not collection_path.is_dir() or collection_path.parent != HERE:
        return None
    room = collection_path.name
    out = (room in SERVICES and "not service" in marks) or (room == "sandbox" and "not sandbox" in marks)
    return True if out else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(HERE)
        if path.parts[0] in SERVICES or f"tests/{path.as_posix()}" in SLOW:
            item.add_marker("service")
    ranks = {scope: rank for rank, scope in enumerate(FIRST)}

    def rank(item: pytest.Item) -> tuple[int, int]:
        file = f"tests/{item.path.relative_to(HERE).as_posix()}"
        scope, late = together(file), LAST.index(file) + 1 if file in LAST else 0
        # What is not named and has a sandbox takes long too.
        return ranks.get(scope, len(FIRST) + (not scope.startswith("tests/sandbox/"))), late

    items.sort(key=rank)


def together(file: str) -> str:
    """What one worker runs with this file: its own tests, or a group of files."""
    return TOGETHER.get(file) or TOGETHER.get(file.rpartition("/")[0]) or file


class ByFile(LoadFileScheduling):
    """A file's tests stay together, and so do those of `TOGETHER`.

    Not `--dist loadgroup`: under pytest 9 the groups of xdist 3.8 fall apart.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        if file == ALONE:
            return nodeid
        return together(file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    config.option.loadscopereorder = False  # by the number of tests, which says nothing of their time
    return ByFile(config, log)
