"""The practice exchange: a real server over HTTP and WebSocket."""
