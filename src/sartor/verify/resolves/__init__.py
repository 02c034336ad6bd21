"""The first grade, *resolves*: what is installed is what its own records and the lock say."""
