"""Webhooks: one module for each, found by the registry."""
