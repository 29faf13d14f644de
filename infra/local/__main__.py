"""`python -m infra.local`: start Slidehook on this machine."""

import sys

from infra.local.launcher import main

if __name__ == "__main__":
    sys.exit(main())
