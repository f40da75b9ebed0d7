"""The figures that `make bench` prints: one module each, with one function `run`."""
