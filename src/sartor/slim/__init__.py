"""Slimming: of libraries, wheels and environments what no GPU asked for would load is left out.

Choices, licences and results stand here. `retarget` compiles PTX, `library` makes one library
smaller with that, `wheel` and `environment` do it to the libraries in theirs; neither of these two
knows the other.
"""
