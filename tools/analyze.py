"""Parameters and multiply-accumulates of a config's network; see --help."""
import sys

from meshpose_plugins.cli.analyze import main

if __name__ == '__main__':
    sys.exit(main())
