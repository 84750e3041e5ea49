#!/usr/bin/env python
"""Runs meshpose_plugins.cli.test; --help says more."""
import sys

from meshpose_plugins.cli.test import main

if __name__ == "__main__":
    sys.exit(main())
