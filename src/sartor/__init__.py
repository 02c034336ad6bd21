"""Sartor gives a machine the inference stack that is proved to fit it."""

__version__ = "0.1.0"
