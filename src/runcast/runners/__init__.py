"""What produces events when we run the agents ourselves."""
