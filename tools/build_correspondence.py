"""Build a correspondence file between two bodies; see ``--help``."""

from meshpose_plugins.cli.build_correspondence import main

if __name__ == '__main__':
    main()
