"""A small interpreter of Python source: it evaluates definitions, and runs nothing of a package."""
