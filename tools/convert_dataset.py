#!/usr/bin/env python
"""Runs meshpose_plugins.cli.convert_dataset; --help says more."""
import sys

from meshpose_plugins.cli.convert_dataset import main

if __name__ == "__main__":
    sys.exit(main())
