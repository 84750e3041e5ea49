"""Time the losses: the silhouette against its plain reference, every loss as a share of a training step."""

import sys

from meshpose_plugins.cli.benchmark_losses import main

if __name__ == "__main__":
    sys.exit(main())
