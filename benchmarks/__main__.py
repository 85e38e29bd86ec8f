"""`python -m benchmarks NAMES`: the same as `assay bench NAMES`, from a checkout."""

import sys

from streams.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "bench")
    main()
