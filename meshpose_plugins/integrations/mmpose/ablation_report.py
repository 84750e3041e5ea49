"""The table and the plot of an ablation."""

from __future__ import annotations

import csv
import io
import statistics
from pathlib import Path

from meshpose_plugins.integrations.mmpose.ablation import TEST_SETS, VARIANTS
from meshpose_plugins.visualization.bars import draw_bars
from meshpose_plugins.files import write_atomically

#: Metric of the evaluators, its heading, digits.
COLUMNS = (
    ('densepose/P1/gpsm_AP', 'GPSm AP (P1)', 1),
    ('mesh/uv_error', 'UV error, % of box', 2),
    ('mesh/vertex_error_2d', '2-D error, % of height', 2),
    ('mesh/pa_mpvpe', 'PA-MPVPE, mm', 1),
    ('mesh/mpvpe', 'MPVPE, mm', 1),
    ('mesh/visibility_auc', 'visibility AUC', 3),
)


def write_report(results: list[dict], out: Path) -> dict[str, Path]:
    """Write what is known so far.

    Args:
        results: of :meth:`AblationRun.result`, in any number.
        out: folder.

    Returns:
        what -> file: ``table`` (Markdown, mean and range over seeds), ``csv`` (every run), ``plot`` (PNG,
        where there is a known metric).
    """
    places = dict(table=out / 'ablation.md', csv=out / 'ablation.csv')
    write_atomically(places['table'], markdown(results).encode())
    write_atomically(places['csv'], runs_csv(results).encode())
    titles = [VARIANTS[name].title for name in _variants(results)]
    panels = {f'{heading}\n{test_set} crops': [values(results, name, test_set, metric)
                                               for name in _variants(results)]
              for test_set in TEST_SETS for metric, heading in _present(results)}
    if panels:
        columns = len(panels) // len(TEST_SETS)
        places['plot'] = draw_bars(titles, panels, out / 'ablation.png', columns)
    return places


def values(results: list[dict], variant: str, test_set: str, metric: str) -> list[float]:
    """One metric of a variant's runs, in order of the results."""
    return [result[test_set][metric] for result in results
            if result['variant'] == variant and metric in result[test_set]]


def markdown(results: list[dict]) -> str:
    """One table per test set: a row per variant, mean over seeds, half the range where there are several."""
    lines, seeds = [], len({result['seed'] for result in results})
    for test_set in TEST_SETS:
        present = [column for column in COLUMNS if column[:2] in _present(results)]
        lines += [f'{test_set} crops, mean of {seeds} seeds (± half the range)', '',
                  '| variant | ' + ' | '.join(heading for _, heading, _ in present) + ' |',
                  '|---|' + '---|' * len(present)]
        for name in _variants(results):
            cells = [_cell(values(results, name, test_set, metric), digits) for metric, _, digits in present]
            lines.append(f'| {VARIANTS[name].title} | ' + ' | '.join(cells) + ' |')
        lines.append('')
    return '\n'.join(lines)


def runs_csv(results: list[dict]) -> str:
    """Every run and test set, a line each."""
    stream = io.StringIO()
    metrics = [metric for metric, _ in _present(results)]
    writer = csv.writer(stream, lineterminator='\n')
    writer.writerow(['variant', 'seed', 'iterations', 'crops', *metrics])
    for result in results:
        for test_set in TEST_SETS:
            writer.writerow([result['variant'], result['seed'], result['iterations'], test_set,
                             *(result[test_set].get(metric, '') for metric in metrics)])
    return stream.getvalue()


def _variants(results: list[dict]) -> list[str]:
    return list(dict.fromkeys(result['variant'] for result in results))


def _present(results: list[dict]) -> list[tuple[str, str]]:
    return [(metric, heading) for metric, heading, _ in COLUMNS
            if any(metric in result[test_set] for result in results for test_set in TEST_SETS)]


def _cell(runs: list[float], digits: int) -> str:
    if not runs:
        return '-'
    text = f'{statistics.mean(runs):.{digits}f}'
    return text if len(runs) == 1 else f'{text} ± {(max(runs) - min(runs)) / 2:.{digits}f}'
