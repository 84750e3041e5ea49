"""Time the losses: the silhouette against its plain reference, every loss as a share of a training step."""
from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from meshpose_plugins.errors import explained


def main(argv: list[str] | None = None) -> int:
    """Prints tables of times, forward and backward; the exit code is 1 if silhouette and reference disagree.

    Args:
        argv: arguments; None takes the process's.

    Returns:
        the exit code.
    """
    parser = argparse.ArgumentParser(prog="benchmark_losses", description=__doc__)
    parser.add_argument("--template", default="anny", help="whose faces are drawn (default: anny)")
    parser.add_argument("--height", type=int, default=64, help="rows of the silhouette (default: 64)")
    parser.add_argument("--width", type=int, default=48, help="columns of the silhouette (default: 48)")
    parser.add_argument("--people", type=int, default=16, help="people in a batch (default: 16)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--repeats", type=int, default=20, help="runs of each function (default: 20)")
    parser.add_argument("--config", help="an MMPose config whose training step is timed, term by term")
    args = parser.parse_args(argv)

    import torch

    from meshpose_plugins.losses.benchmark import benchmark_silhouette

    torch.set_num_threads(args.threads)
    with explained("benchmark_losses"):
        rows = benchmark_silhouette(args.template, args.height, args.width, args.people, args.repeats)
    table = Table(title=f"silhouette of {args.template}, {args.width} x {args.height} px, {args.threads} "
                        "thread(s), forward and backward, median")
    for column in ("", "ms per person", "against the reference"):
        table.add_column(column, justify="right" if column else "left")
    for name, milliseconds in rows.timings.items():
        ratio = rows.timings["plain reference"] / milliseconds
        table.add_row(name, f"{milliseconds:.2f}", f"{ratio:.0f} x" if ratio > 1.001 else "")
    console = Console()
    console.print(table)
    console.print(f"largest difference of a pixel: {rows.difference:.1e}")
    if args.config:
        from meshpose_plugins.integrations.mmpose.step_benchmark import benchmark_step

        with explained("benchmark_losses", own_only=True):
            step = benchmark_step(args.config, args.people, max(args.repeats // 4, 3))
        table = Table(title=f"a training step of {args.people} people, {args.threads} thread(s), median")
        for column in ("", "ms", "share"):
            table.add_column(column, justify="right" if column else "left")
        for name, milliseconds in step.items():
            table.add_row(name, f"{milliseconds:.1f}", f"{milliseconds / step['step']:.1%}")
        console.print(table)
    return 0 if rows.difference < 1e-3 else 1


if __name__ == "__main__":
    raise SystemExit(main())
