"""From evidence and a GPU to a verdict: pure functions of evidence, facts and target."""
