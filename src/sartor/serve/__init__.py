"""From an environment and a model to an endpoint that answers, and its end."""
