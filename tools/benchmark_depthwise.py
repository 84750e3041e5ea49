"""Time strided depthwise convolutions in bfloat16 on a CPU: torch's own against Float32DepthwiseConv2d."""

import sys

from meshpose_plugins.cli.benchmark_depthwise import main

if __name__ == "__main__":
    sys.exit(main())
