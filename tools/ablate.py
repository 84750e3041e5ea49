"""Take one idea of the method away at a time and measure; see --help."""
import sys

from meshpose_plugins.cli.ablate import main

if __name__ == '__main__':
    sys.exit(main())
