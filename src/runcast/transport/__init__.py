"""How bytes reach clients: WebSocket frames, SSE, and the native HTTP API."""
