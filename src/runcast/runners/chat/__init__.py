"""Answering conversations: who answers (`responder`, by default `orchestrator`), and bringing each answer to its end."""
