"""Body meshes on photographs: python tools/demo.py IMAGE_OR_FOLDER; see --help."""
import sys

from meshpose_plugins.cli.demo import main

if __name__ == '__main__':
    sys.exit(main())
