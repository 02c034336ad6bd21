"""Changes of the host that would let it run what it cannot run now."""
