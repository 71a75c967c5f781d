"""Starts a mode of the edge: `python -m edge --config FILE`.

Exit codes: 0 stopped in order, 2 the configuration is invalid, 3 the machine does not provide what it needs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.config import ConfigError, DetectorConfig, LoaderConfig, NotifierConfig, SealerConfig, load
from edge.reload import Reloading


def main(arguments: list[str] | None = None) -> int:
    """Run the mode that the file names. An error is one paragraph on standard error. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="edge",
        description="Isthmus gateway, sidecar, translator, sealer, detector, reviews, chat, notifier or loader.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        help="the YAML file, or env:NAME where a variable holds it; its `mode` selects what runs",
    )
    options = parser.parse_args(arguments)
    try:
        config = load(options.config)
    except ConfigError as error:
        return _fail(str(error), error.exit_code)
    reloading = Reloading(options.config, config.mode)
    try:
        # Imported after the file was checked, because these modules import the servers.
        if isinstance(config, SealerConfig):
            from edge.audit import sealing

            sealing.run(config, reloading)
        elif isinstance(config, DetectorConfig):
            from edge import detection

            detection.run(config, reloading)
        elif isinstance(config, NotifierConfig):
            from edge.notifier import process

            process.run(config, reloading)
        elif isinstance(config, LoaderConfig):
            from edge.usage import process as loading

            loading.run(config, reloading)
        else:
            from edge import server

            server.run(config, reloading)
    except ConfigError as error:
        return _fail(f"{options.config}: {error}", error.exit_code)
    reloading.begin_anew()
    return 0


def _fail(paragraph: str, exit_code: int) -> int:
    print(f"edge: {paragraph}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
