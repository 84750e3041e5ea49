"""Measure the evaluation's distances against exact geodesics; see --help."""

import sys

from meshpose_plugins.cli.measure_geodesics import main

if __name__ == '__main__':
    sys.exit(main())
