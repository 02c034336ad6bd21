"""From a planned stack to an environment on disk: resumable, cached, never half done."""
