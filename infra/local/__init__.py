"""Slidehook on this machine: an emulator of AWS, a MongoDB, workers and the API."""
