"""A library reduced: its device code packed, all that points to it moved, the file read again."""
