#!/usr/bin/env python
"""Runs meshpose_plugins.cli.apply_detectron2; --help says more."""

import sys

from meshpose_plugins.cli.apply_detectron2 import main

if __name__ == "__main__":
    sys.exit(main())
