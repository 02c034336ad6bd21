"""The machine, read or described, as one frozen value."""
