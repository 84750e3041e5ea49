"""Build a template file from a body model; see ``--help``."""

from meshpose_plugins.cli.build_template import main

if __name__ == '__main__':
    main()
