"""Runs inside an engine's environment: llama.cpp's server through xllamacpp.

Needs xllamacpp and the standard library alone; takes one argument, the settings file.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit status is 0 then."""
    settings = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["model_path"]
    params.model_alias = {settings["model_name"]}
    params.hostnames = [settings["host"]]
    params.port = settings["port"]
    params.n_ctx = settings["context"]
    params.n_parallel = 1
    params.ui = False
    params.endpoint_slots = False
    params.cors_origins = ""
    params.cors_credentials = False
    params.cors_origins_explicit = True
    if settings["accelerator"] == "cpu":
        params.n_gpu_layers = 0
    threads = settings["threads"]
    if threads:
        params.cpuparams.n_threads = threads
        params.cpuparams_batch.n_threads = threads
    if settings["api_key_file"]:
        params.api_keys = [Path(settings["api_key_file"]).read_text("utf-8").strip()]

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    print(xllamacpp.get_system_info(), file=sys.stderr)
    server = xllamacpp.Server(params)
    print(f"listening on {server.listening_address}", file=sys.stderr, flush=True)
    while not stop.wait(3600):
        pass
    os._exit(0)  # the C++ server's threads would keep the interpreter alive


if __name__ == "__main__":
    sys.exit(main())
