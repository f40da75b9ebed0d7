"""Several agents and a synthesis: the workflow feed."""
