"""Files on servers, read where they are: the HTTP side, ranges, and wheels through both."""
