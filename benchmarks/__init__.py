"""Measurements of Runcast beside a naive FastAPI loop, on this machine, in one run."""
