"""From HTTP to the steps and back, one module a group of doors. `app.py` lists which address leads to which."""
