"""Handlers of the routes: each receives a `Call`, the path parameters and, if it declares them, `query` and `body`."""
