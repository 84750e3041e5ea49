"""Give the MeshPose head of a checkpoint the names of the other framework; see --help."""
import sys

from meshpose_plugins.cli.head_weights import main

if __name__ == '__main__':
    sys.exit(main())
