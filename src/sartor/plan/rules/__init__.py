"""The rules that a candidate is judged by; each looks at one thing and returns a decision."""
