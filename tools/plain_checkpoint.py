"""Rewrite a checkpoint so that it loads with weights_only=True; see --help."""
import sys

from meshpose_plugins.cli.plain_checkpoint import main

if __name__ == '__main__':
    sys.exit(main())
