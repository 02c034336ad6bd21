"""A wheel reduced: its libraries, its own texts, the archive around them, its page in an index."""
