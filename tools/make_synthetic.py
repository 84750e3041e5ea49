"""Make pictures of synthetic people with every label; see docs/data.md."""

import sys

from meshpose_plugins.cli.make_synthetic import main

if __name__ == '__main__':
    sys.exit(main())
