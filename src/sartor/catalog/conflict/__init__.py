"""Why requirements cannot hold together: every minimal set of them, each as a derivation."""
