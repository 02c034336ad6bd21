"""The KV cache that llama.cpp allocates for a GGUF file, from its own log.

Runs in an environment with xllamacpp: `llama_cache.py FILE CONTEXT CACHE_TYPE`; what it logs goes
to stderr.
"""

import os
import sys


def main(path: str, context: int, cache_type: str) -> None:
    """Load and end."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = context
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.verbosity = 10
    kinds = {"f16": xllamacpp.ggml_type.GGML_TYPE_F16, "q8_0": xllamacpp.ggml_type.GGML_TYPE_Q8_0}
    params.cache_type_k = params.cache_type_v = kinds[cache_type]
    server = xllamacpp.Server(params)
    print(f"loaded: {server.listening_address}", file=sys.stderr, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
