"""Scenarios that go wrong in other systems: one module each, with one function `run`."""
