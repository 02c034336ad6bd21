"""Where planning's questions are answered: indexes, METADATA, kept evidence, the resolver."""
