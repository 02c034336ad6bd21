"""The map as a page, as Markdown and as lines."""
