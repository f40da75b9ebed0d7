"""Running plans: a graph of steps, retries, quality gates, commands."""
