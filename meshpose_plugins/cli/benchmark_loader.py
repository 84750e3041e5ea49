"""Time a config's data loading, step by step, as a share of its training step."""

from __future__ import annotations

import argparse
import math

from meshpose_plugins.errors import explained


def main(argv: list[str] | None = None) -> int:
    """Print tables of times; returns the exit code."""
    parser = argparse.ArgumentParser(prog='benchmark_loader', description=__doc__)
    parser.add_argument('config', help='config file of a training, whose data are there')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads of the step (default: 1)')
    parser.add_argument('--repeats', type=int, default=5, help='batches timed (default: 5)')
    parser.add_argument('--samples', type=int, default=100, help='samples of each data set (default: 100)')
    args = parser.parse_args(argv)

    import torch
    from rich.console import Console
    from rich.table import Table

    torch.set_num_threads(args.threads)
    with explained('benchmark_loader', own_only=True):
        from meshpose_plugins.integrations import mmpose  # noqa: F401  registers all parts
        from meshpose_plugins.integrations.mmpose import commands
        from meshpose_plugins.integrations.mmpose.loader_benchmark import benchmark_loader

        timings = benchmark_loader(commands.load_config(args.config), args.repeats, args.samples)
    console = Console()
    table = Table('', 'ms per sample', title='one sample, one process, mean')
    for name, milliseconds in timings.transforms.items():
        table.add_row(name, f'{milliseconds:.2f}')
    console.print(table)
    table = Table('annotation file', 'read anew, s', 'from the cache, s', 'ratio')
    for name, (anew, cached) in timings.reading.items():
        table.add_row(name, f'{anew:.2f}', f'{cached:.2f}', f'{anew / cached:.1f} x')
    console.print(table)
    console.print(
        f'a batch: {timings.batch:.0f} ms to load in one process, {timings.step:.0f} ms to train on with '
        f'{args.threads} thread(s): loading is {timings.batch / timings.step:.0%} of a step, '
        f'{math.ceil(timings.batch / timings.step)} worker(s) keep up'
    )
    return 0
