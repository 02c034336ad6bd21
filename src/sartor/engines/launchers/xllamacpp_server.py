"""Runs inside an engine's environment: llama.cpp's server through xllamacpp.

Needs xllamacpp and the standard library alone; takes one argument, the settings file.
"""

import json
import signal
import sys
from pathlib import Path


def main() -> None:
    """Serve until a signal ends the process; SIGTERM does so at any moment, loading included."""
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

    print(xllamacpp.get_system_info(), file=sys.stderr)
    server = xllamacpp.Server(params)
    print(f"listening on {server.listening_address}", file=sys.stderr, flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
