"""Requests and responses by resource: the classes of the OpenAPI document and the functions that build the values."""
