"""The HTTP API. `routes.py` lists all routes and their handlers."""
