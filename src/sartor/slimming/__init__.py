"""`sartor slim`: targets are found, opened, reduced and written, and what was done is undone.

What the rooms of `sartor.slim` do with one library, wheel or file is asked for here.
"""
