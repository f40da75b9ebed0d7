"""The progress of background tasks: the task feed."""
