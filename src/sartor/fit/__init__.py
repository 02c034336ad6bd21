"""Memory fit: from a `ModelShape`, devices and a request to a `FitReport`. Pure.

``fit.report(question)`` is the way in. Nothing here touches the world: shapes are read by `models`,
devices by `host`.
"""
