"""The bundle: a locked stack, with Sartor itself, for a machine without a network.

`collect` finds what belongs to it, `make` writes it, `take` installs from it. `install` is the file
that goes with every bundle and runs there under plain Python.
"""
