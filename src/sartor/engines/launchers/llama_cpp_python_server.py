"""Runs inside an engine's environment: the server of llama-cpp-python.

Needs llama-cpp-python with its server extra; takes one argument, the settings file.
"""

import json
import sys
from pathlib import Path


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    import llama_cpp
    import uvicorn
    from fastapi.middleware.cors import CORSMiddleware
    from llama_cpp.server.app import create_app
    from llama_cpp.server.settings import ModelSettings, ServerSettings

    key_file = settings["api_key_file"]
    key = Path(key_file).read_text("utf-8").strip() if key_file else None
    count = settings["threads"]
    threads = {"n_threads": count, "n_threads_batch": count} if count else {}
    print(llama_cpp.llama_print_system_info().decode(), file=sys.stderr, flush=True)
    app = create_app(
        server_settings=ServerSettings(
            host=settings["host"], port=settings["port"], api_key=key, interrupt_requests=False
        ),
        model_settings=[
            ModelSettings(
                model=settings["model_path"],
                model_alias=settings["model_name"],
                n_ctx=settings["context"],
                n_gpu_layers=0 if settings["accelerator"] == "cpu" else -1,
                **threads,
            )
        ],
    )
    # Any web page could talk to a server that allows every origin.
    app.user_middleware = [m for m in app.user_middleware if m.cls is not CORSMiddleware]
    uvicorn.run(app, host=settings["host"], port=settings["port"], log_level="info")
    return 0


if __name__ == "__main__":
    sys.exit(main())
