"""The knowledge base: documents in chunks, found by their words."""
