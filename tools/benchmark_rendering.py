"""Time the rasteriser: compiled loops against their NumPy references; see --help."""

import sys

from meshpose_plugins.cli.benchmark_rendering import main

if __name__ == "__main__":
    sys.exit(main())
