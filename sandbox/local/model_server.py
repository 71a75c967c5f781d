"""Serves a small language model on the CPU: `python model_server.py --port N --model FILE`.

It runs under the interpreter of the environment `local-models`, which has llama.cpp's bindings, and imports nothing of
the project.
"""

from __future__ import annotations

import argparse
import signal
import threading

MOST_TOKENS = 512
"""Tokens of an answer at most: a model this small sometimes does not find an end, and would write for minutes."""


def main() -> None:
    parser = argparse.ArgumentParser(description="An OpenAI-compatible server of a small language model.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True, help="a GGUF file")
    options = parser.parse_args()

    import xllamacpp  # pyright: ignore[reportMissingImports] (in an environment of its own)

    settings = xllamacpp.CommonParams()
    settings.model.path = options.model
    settings.hostnames = ["127.0.0.1"]
    settings.port = options.port
    settings.n_ctx = 8192
    settings.n_parallel = 4
    settings.n_predict = MOST_TOKENS
    settings.cpuparams.n_threads = 2
    settings.endpoint_metrics = True
    server = xllamacpp.Server(settings)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    print(f"listens on {server.listening_address}", flush=True)
    ended.wait()


if __name__ == "__main__":
    main()
