"""Time strided depthwise convolutions in bfloat16 on a CPU: torch's own against Float32DepthwiseConv2d."""
from __future__ import annotations

import argparse
import time

from rich.console import Console
from rich.table import Table

#: Channels, rows, columns and kernel size: the trained ones of the light config, and one of a MobileNetV3.
SHAPES = ((144, 32, 24, 3), (192, 16, 12, 3), (576, 8, 6, 3), (96, 64, 48, 5))


def main(argv: list[str] | None = None) -> int:
    """Prints a table of times, forward and backward, and ratios.

    Args:
        argv: arguments; None takes the process's.

    Returns:
        the exit code.
    """
    parser = argparse.ArgumentParser(prog="benchmark_depthwise", description=__doc__)
    parser.add_argument("--batch", type=int, default=24, help="crops in a batch (default: 24)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--repeats", type=int, default=10, help="runs, the fastest counts (default: 10)")
    args = parser.parse_args(argv)

    import torch
    from torch import nn

    from meshpose_plugins.modeling import Float32DepthwiseConv2d

    torch.set_num_threads(args.threads)
    table = Table(title=f"{args.batch} maps, {args.threads} thread(s), forward and backward under bfloat16")
    for column in ("channels, rows x columns, kernel", "torch, ms", "own, ms", "ratio"):
        table.add_column(column, justify="left" if column.startswith("ch") else "right")
    for channels, height, width, kernel in SHAPES:
        images = torch.randn(args.batch, channels, height, width, dtype=torch.bfloat16)
        images = images.to(memory_format=torch.channels_last).requires_grad_()
        times = []
        for layer in (nn.Conv2d, Float32DepthwiseConv2d):
            conv = layer(channels, channels, kernel, 2, kernel // 2, groups=channels, bias=False).train()
            times.append(1e3 * min(_seconds(conv, images) for _ in range(args.repeats)))
        name = f"{channels}, {height} x {width}, {kernel} x {kernel}"
        table.add_row(name, *(f"{value:.2f}" for value in times), f"{times[0] / times[1]:.1f} x")
    Console().print(table)
    return 0


def _seconds(conv, images) -> float:
    import torch

    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        result = conv(images)
    result.float().sum().backward()
    return time.perf_counter() - start


if __name__ == "__main__":
    raise SystemExit(main())
