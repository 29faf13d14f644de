"""The pages in a real browser, on the running local system."""
