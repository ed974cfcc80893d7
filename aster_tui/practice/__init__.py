"""The practice exchange: a server of its own that speaks the venue's HTTP and WebSocket dialect.

It shares no code with the client, signature check included, so that a mistake there cannot hide here.
"""
