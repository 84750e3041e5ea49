"""The published MeshPose checkpoints in this library's names: what is where, and whether all of it is there.

The weights themselves come from the authors of MeshPose, on request and under their licence. Their network
file holds the tensors under ``["model"]["root"]``, their upsampler file under
``["model"]["VERTEX_UPSAMPLE"]``.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from meshpose_plugins.deploy.weights import unreadable_reason
from meshpose_plugins.templates import BodySurface, MeshTemplate, load_template

NETWORK, UPSAMPLER = 'root', 'VERTEX_UPSAMPLE'
_LAYERS = ('upsampling', 'upsampling2')
_HEADS = {'x': 'SP_VERTEX_X', 'y': 'SP_VERTEX_Y', 'z': 'SP_VERTEX_Z', 'visibility': 'SP_VISIBILITY'}

#: Names of this library's network -> names of the published one.
_RENAMED = [
    (r'backbone\.(.+)', r'model.model.0.encoder.\1'),
    (r'head\.network\.vertexpose\.conv\.(.+)', r'model.model.1.head_layers.SP_MESHPOSE.\1'),
    *(
        (
            rf'head\.network\.regression\.nets\.{net}\.{layer}\.(.+)',
            rf'model.model.1.head_layers.{head}.{place}.\1',
        )
        for net, head in _HEADS.items()
        for layer, place in {'expand': 'conv_z_1.0', 'norm': 'conv_z_1.1', 'project': 'conv_z_2.0'}.items()
    ),
]


def published_name(name: str) -> str | None:
    """The published name of a tensor of a MeshPose network in MMPose; None for one of this library alone."""
    for pattern, published in _RENAMED:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(published)
    return None


def read_published(path: str | Path, part: str) -> dict[str, Tensor]:
    """Read the tensors of a published file, without unpickling objects.

    Args:
        path: the file.
        part: what is looked for in it, ``NETWORK`` or ``UPSAMPLER``.

    Returns:
        name -> tensor.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is broken, holds pickled objects, or does not have the part.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist')
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # torch raises five kinds for broken and refused files
        raise ValueError(f'{path} cannot be loaded: {unreadable_reason(error)}') from None
    model = content.get('model') if isinstance(content, dict) else None
    tensors = model.get(part) if isinstance(model, dict) else None
    if not isinstance(tensors, dict):
        found = list(model)[:8] if isinstance(model, dict) else type(content).__name__
        raise ValueError(f"{path}: expected tensors under ['model']['{part}'], got {found}")
    return {name: value for name, value in tensors.items() if isinstance(value, Tensor)}


def convert_network(
    published: Mapping[str, Tensor],
    expected: Mapping[str, Sequence[int]],
    heatmap_size: Sequence[int],
    source: str | Path = 'the network',
) -> dict[str, Tensor]:
    """Rename the published network's tensors; extra ones are left out.

    Args:
        published: name -> tensor.
        expected: name -> shape of the tensors of the network that is to take them.
        heatmap_size: (h, w) of the heatmaps, px.
        source: the file, for messages.

    Returns:
        name -> tensor for those of ``expected`` that the published network has.

    Raises:
        ValueError: listing all tensors that are missing or of another shape, or a constant of another value.
    """
    names = {name: published_name(name) for name in expected}
    names = {name: theirs for name, theirs in names.items() if theirs is not None}
    wanted = {theirs: tuple(expected[name]) for name, theirs in names.items()}
    constants = _constants(heatmap_size, expected)
    wanted.update({name: tuple(value.shape) for name, value in constants.items()})
    check_tensors(published, wanted, source)
    for name, value in constants.items():
        if not torch.equal(published[name].double(), value.double()):
            raise ValueError(f'{source} is of another layout: {name} holds other values than published')
    return {name: published[theirs].detach().clone() for name, theirs in names.items()}


def convert_template(
    published: Mapping[str, Tensor], template: MeshTemplate, source: str | Path = 'the upsampler'
) -> MeshTemplate:
    """Give a template the published upsampler.

    Its two linear layers have no activation between them: multiplied out they are one, of 3.6 instead of 12.8
    million weights.

    Args:
        published: name -> tensor of the upsampler.
        template: of the channels, with the upsampler's centre.
        source: the file, for messages.

    Returns:
        the template with upsampler_weights (N, V) and upsampler_bias (N,).

    Raises:
        ValueError: listing the tensors that are missing or of another shape, or that do not fit together.
    """
    first, second = (published.get(f'{layer}.weight') for layer in _LAYERS)
    hidden = len(first) if first is not None else 0
    rows = len(second) if second is not None else 0
    check_tensors(
        published,
        {
            'upsampling.weight': (hidden, template.num_vertices),
            'upsampling.bias': (hidden,),
            'upsampling2.weight': (rows, hidden),
            'upsampling2.bias': (rows,),
        },
        source,
    )
    weights, biases = zip(
        *(
            (published[f'{layer}.weight'].double().numpy(), published[f'{layer}.bias'].double().numpy())
            for layer in _LAYERS
        )
    )
    return template.replace(
        upsampler_weights=(weights[1] @ weights[0]).astype(np.float32),
        upsampler_bias=(weights[1] @ biases[0] + biases[1]).astype(np.float32),
    )


def read_surface(path: str | Path, num_vertices: int) -> BodySurface:
    """Read the faces of the body from a file of the user's.

    Args:
        path: a template file of the same body, which gives its charts too; or a .npz with the faces (M, 3) as
            ``f`` (SMPL's own files) or ``faces``, and if there are any with rest positions (N, 3) as
            ``v_template`` or ``vertices``; or a .npy with the faces.
        num_vertices: N that the body must have.

    Returns:
        the surface.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no faces, or those of another body.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'surface {path} does not exist')
    try:
        arrays = _load_arrays(path, ('format_version', 'faces', 'f', 'vertices', 'v_template'))
        faces = arrays.get('faces', arrays.get('f'))
        if 'format_version' in arrays:
            surface = load_template(path).surface
        elif faces is not None:
            vertices = arrays.get('vertices', arrays.get('v_template'))
            surface = BodySurface(vertices, faces.astype(np.int64), None, None)
        else:
            surface = None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f'surface {path} cannot be read: {error}') from error
    if surface is None or surface.faces.shape[1:] != (3,):
        raise ValueError(f"surface {path}: expected faces (M, 3) under 'f' or 'faces', or a template file")
    count = int(surface.faces.max(initial=-1)) + 1
    if count != num_vertices or surface.faces.min() < 0:
        raise ValueError(
            f'surface {path}: its faces name {count} vertices, the upsampled mesh has {num_vertices}: give '
            'the faces of the same body'
        )
    return surface


def _load_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Those of the named arrays that an .npz holds; the array of an .npy as ``faces``."""
    content = np.load(path, allow_pickle=False)
    if isinstance(content, np.ndarray):
        return {'faces': content}
    with content:
        return {name: content[name] for name in names if name in content}


def check_tensors(tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple], source: str | Path) -> None:
    """Raise ValueError with a list of all wanted tensors (name -> shape) that are missing or misshapen."""
    missing = [name for name in wanted if name not in tensors]
    misshapen = [
        f'{name} is {tuple(tensors[name].shape)}, expected {shape}'
        for name, shape in wanted.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    if missing or misshapen:
        lines = [f'  missing: {name}' for name in missing] + [f'  misshapen: {line}' for line in misshapen]
        raise ValueError(
            f'{source} lacks {len(missing)} tensors and has {len(misshapen)} of another shape, of '
            f'{len(wanted)}:\n' + '\n'.join(lines)
        )


def _constants(heatmap_size: Sequence[int], expected: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Constants that the published file carries: positions (row, column) of the heatmaps, and the bins."""
    height, width = heatmap_size
    hidden = expected['head.network.regression.nets.x.expand.bias'][0]
    bins = torch.arange(hidden // expected['head.network.regression.nets.x.project.weight'][1])
    rows = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij'), dim=-1)
    constants = {'model.model.1.branch_models.SP_MESHPOSE.grid': rows}
    for axis in 'xyz':
        constants[f'model.model.1.head_layers.{_HEADS[axis]}.softargmax1D.positions'] = bins
    return constants
