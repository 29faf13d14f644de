"""Slidehook: whole-slide images from a bucket into a viewer."""
