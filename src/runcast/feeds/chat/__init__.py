"""The chat feed: conversations of people with an agent, over one WebSocket or REST."""
