"""What options and environment variables a version of an engine knows, read from its package."""
