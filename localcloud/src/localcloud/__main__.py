"""`python -m localcloud`: the command line."""

import sys

from localcloud.cli import main

if __name__ == "__main__":
    sys.exit(main())
