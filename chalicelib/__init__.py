"""Slidehook: whole-slide images from a bucket into a viewer."""

__version__ = "0.1.0"
