"""Live delivery: the bus, the hub and its cohorts, and the readers that catch up."""
