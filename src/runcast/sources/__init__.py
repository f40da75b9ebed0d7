"""What produces events elsewhere: the coding agents and tools that people already use."""
