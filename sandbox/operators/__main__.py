"""The process of the simulated operators: `python -m sandbox.operators --server URL --pki FOLDER`.

It reconciles the cluster whenever a watched object changes. It ends when the API server does not answer for long.
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path

import httpx

from isthmus.core.errors import IsthmusError
from isthmus.core.kubernetes_client import KubeClient, client_trust
from sandbox.operators import groups, labels, mig

GIVE_UP_AFTER_S = 300.0
"""Seconds without an answer of the API server after which the process ends."""
RESYNC_S = 20.0
"""Seconds between reconciliations without a change, since a watch may miss changes."""
WATCHED = {
    groups.Controller: (groups.SETS, f"/api/v1/pods?labelSelector={labels.NAME}"),
    mig.Manager: (mig.GPU_NODES, mig.CONFIG_MAPS),
}
"""Paths of the objects that each operator watches."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--pki", required=True, type=Path)
    arguments = parser.parse_args()
    ca, certificate, key = (
        (arguments.pki / name).read_text("utf-8") for name in ("ca.crt", "admin.crt", "admin.key")
    )
    with KubeClient("sandbox", arguments.server, client_trust(ca, certificate, key)) as client:
        workers = []
        for controller, paths in WATCHED.items():
            changed = threading.Event()
            for path in paths:
                threading.Thread(target=_watch, args=(client, path, changed), daemon=True).start()
            workers.append(
                threading.Thread(target=_reconcile_on_change, args=(client, controller(client), changed))
            )
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def _reconcile_on_change(
    client: KubeClient, controller: groups.Controller | mig.Manager, changed: threading.Event
) -> None:
    last_answer = time.monotonic()
    while time.monotonic() - last_answer < GIVE_UP_AFTER_S:
        changed.wait(RESYNC_S)
        changed.clear()
        try:
            controller.reconcile()
            last_answer = time.monotonic()
        except IsthmusError as error:
            # Another client changed an object, or the server does not answer: try again with fresh objects.
            print(f"{time.strftime('%H:%M:%S')} {error}", flush=True)
            if client.is_ready():
                last_answer = time.monotonic()
            time.sleep(0.5)
            changed.set()


def _watch(client: KubeClient, path: str, changed: threading.Event) -> None:
    while True:
        try:
            for _ in client.changes(path):
                changed.set()
        except (IsthmusError, httpx.HTTPError):
            time.sleep(1)
        changed.set()


main()
