"""Evidence that is kept: read once of a file, found again by its sha256."""
