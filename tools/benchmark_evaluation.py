"""Time the DensePose evaluation: minival's size, beside a plain reference; see --help."""

import sys

from meshpose_plugins.cli.benchmark_evaluation import main

if __name__ == '__main__':
    sys.exit(main())
