"""Convert the published MeshPose weights for MMPose; see --help."""
import sys

from meshpose_plugins.cli.import_published import main

if __name__ == '__main__':
    sys.exit(main())
