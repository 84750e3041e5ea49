"""Turn a training checkpoint into a shipped weights file; see --help."""
import sys

from meshpose_plugins.cli.publish_weights import main

if __name__ == '__main__':
    sys.exit(main())
