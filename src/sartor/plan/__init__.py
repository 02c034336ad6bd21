"""A stack for a host, chosen by rules that each say what they wanted and what they found."""
