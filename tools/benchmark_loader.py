#!/usr/bin/env python
"""Runs meshpose_plugins.cli.benchmark_loader; --help says more."""
import sys

from meshpose_plugins.cli.benchmark_loader import main

if __name__ == "__main__":
    sys.exit(main())
