"""Reading and publishing from other processes, over HTTP. Imports nothing of the server."""
