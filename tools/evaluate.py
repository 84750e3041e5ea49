"""Score a predictions file: DensePose protocols P1, P2, P3, and meshes; see --help."""

import sys

from meshpose_plugins.cli.evaluate import main

if __name__ == '__main__':
    sys.exit(main())
