"""The map: what everything that is kept is on many GPUs and drivers. Pure functions of evidence."""
