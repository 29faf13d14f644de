#!/usr/bin/env python3
"""Upload slides to Slidehook. `ptif_upload.py --help` says how."""

import sys

from chalicelib.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
