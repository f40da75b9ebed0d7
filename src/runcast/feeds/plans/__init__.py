"""Steps, progress, quality gates, pause and resume: the plan feed."""
