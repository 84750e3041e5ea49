"""Every problem of a predictions file: python tools/validate_predictions.py FILE; see --help."""

import sys

from meshpose_plugins.cli.validate_predictions import main

if __name__ == '__main__':
    sys.exit(main())
