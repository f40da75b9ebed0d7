"""The parts of `runcast.log.suite`, one for each side of the contract."""
