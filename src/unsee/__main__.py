"""`python -m unsee` is the command `unsee`."""

import sys

from unsee.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
