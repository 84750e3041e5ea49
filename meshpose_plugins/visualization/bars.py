"""Bar charts of the same things under several measures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..files import write_atomically


def draw_bars(labels: Sequence[str], panels: Mapping[str, Sequence[Sequence[float]]], path: str | Path,
              columns: int | None = None) -> Path:
    """Draw one panel per measure: a horizontal bar per label at the mean of its values, a dot per value.

    Args:
        labels: of the bars, from the top.
        panels: title -> the values of every label, none for a label that was not measured.
        path: PNG to write.
        columns: panels in a row; None: all.

    Returns:
        the path.

    Raises:
        ValueError: a panel has not one list of values per label.
    """
    from matplotlib.figure import Figure  # not pyplot: no window system, no global state

    columns = columns or max(len(panels), 1)
    rows = -(-len(panels) // columns)
    figure = Figure((3.2 + 2.6 * columns, rows * (0.9 + 0.32 * len(labels))), layout='constrained')
    for number, (title, values) in enumerate(panels.items()):
        if len(values) != len(labels):
            raise ValueError(f'panel {title!r}: values of {len(values)} bars for {len(labels)} labels')
        axes = figure.add_subplot(rows, columns, number + 1)
        places = range(len(labels))
        axes.barh(places, [sum(v) / len(v) if v else 0 for v in values], color='#8fb3d9')
        for place, dots in zip(places, values):
            axes.plot(dots, [place] * len(dots), '.', color='#1f3b5c', markersize=4)
        axes.set_yticks(places, labels if number % columns == 0 else [''] * len(labels), fontsize=8)
        axes.invert_yaxis()
        axes.set_title(title, fontsize=8)
        axes.tick_params(axis='x', labelsize=7)
        axes.spines[['top', 'right']].set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format='png', dpi=110)
    return write_atomically(path, stream.getvalue())
