"""Writes the estimates of the shipped configurations to a file."""

import json
import sys
from pathlib import Path

from unsee.configs import estimates
from unsee.evaluation.runs import write_text

if __name__ == "__main__":
    write_text(Path(sys.argv[1]), json.dumps(list(estimates()), indent=1) + "\n")
