"""The package indexes: the user's own configuration, asking them, and uv, which fetches."""
