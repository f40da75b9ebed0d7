"""Sessions: a coding agent's events, cost and errors, as its documented clients know them."""
