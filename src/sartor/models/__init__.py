"""Models: found by what the user typed, read without loading, fetched, or made for a demo.

``resolve(reference, places, reporter)`` is the way in; it gives a `Model`.
"""
