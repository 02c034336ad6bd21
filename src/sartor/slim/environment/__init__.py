"""An environment's files replaced in their place, written down, and brought back."""
