"""Other ways to a stack, for a machine that nothing published fits."""
