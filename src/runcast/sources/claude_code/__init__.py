"""Claude Code: what its transcripts and its hooks tell, as the events of a session."""
