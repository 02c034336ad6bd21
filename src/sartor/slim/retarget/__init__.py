"""PTX compiled ahead of time: which of it, for what, by which ptxas, into which entries."""
