#!/usr/bin/env python
"""Runs meshpose_plugins.cli.train; --help says more."""
import sys

from meshpose_plugins.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
