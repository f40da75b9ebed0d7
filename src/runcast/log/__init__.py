"""The durable log: the contract (`base`), the logs that keep it, and the suite that proves it (`suite`)."""
