"""Checkpoints of plain numbers and lists, so that resuming works with ``torch.load(weights_only=True)``.

MMEngine puts objects into its checkpoints: the message hub's HistoryBuffers, NumPy arrays of the data set's
metainfo, NumPy scalars in a best score. torch >= 2.6 refuses all of them by default. Here each becomes the
plain value that it holds, in its place, and a table at ``checkpoint['plain_format']`` says what it was, so
that loading gives back the very objects.
"""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from pathlib import Path

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.registry import HOOKS

from meshpose_plugins.files import written_aside

from . import compat

FORMAT_KEY = 'plain_format'
FORMAT_VERSION = 1

_PLAIN = (bool, int, float, str, type(None))
_TORCH = (torch.Tensor, torch.dtype, torch.device, torch.Size)  # loadable with weights_only=True


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Writes the checkpoints of a run as plain numbers and lists, and restores MMEngine's objects on loading.

    Add it to ``default_hooks``, which configs inherit key by key::

        default_hooks = dict(plain_checkpoint=dict(type='PlainCheckpointHook'))

    Checkpoints that it did not write pass through untouched: they load where torch accepts them, and are
    refused where not.
    """

    priority = 'LOWEST'  # the last to see a checkpoint before it is written

    def before_run(self, runner) -> None:
        for notice in compat.notices():
            runner.logger.info(notice)
        runner.logger.info(
            'checkpoints are written as plain numbers and lists: they load with weights_only=True'
        )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        objects = make_plain(checkpoint)
        if objects:
            runner.logger.warning(
                'the checkpoint keeps objects that torch >= 2.6 refuses to load: ' + '; '.join(objects)
            )

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        restore_plain(checkpoint)


def make_plain(checkpoint: dict) -> list[str]:
    """Turns what a checkpoint holds into tensors, plain numbers, strings, lists and dictionaries, in place.

    Args:
        checkpoint: a checkpoint of MMEngine; its parts are replaced, never changed, as they may belong to a
            running training.

    Returns:
        The objects that have no plain form and stay as they are, each as 'place: type'.
    """
    restore_plain(checkpoint)  # it may be plain already, as a file that was loaded without a runner
    types, objects = {}, []
    for key in list(checkpoint):
        checkpoint[key] = _to_plain(checkpoint[key], (key,), types, objects)
    checkpoint[FORMAT_KEY] = dict(version=FORMAT_VERSION, types=types)
    return objects


def restore_plain(checkpoint: dict) -> None:
    """Turns a plain checkpoint back into what MMEngine saved, in place; others stay untouched.

    Args:
        checkpoint: as ``torch.load`` returned it.

    Raises:
        ValueError: the table is of a later version.
    """
    table = checkpoint.pop(FORMAT_KEY, None)
    if table is None:
        return
    if table['version'] != FORMAT_VERSION:
        raise ValueError(
            f"checkpoint['{FORMAT_KEY}'] has version {table['version']}, this release reads "
            f'{FORMAT_VERSION}: pip install -U meshpose_plugins'
        )
    types = {tuple(path): kind for path, kind in table['types'].items()}
    holders = {path[:length] for path in types for length in range(1, len(path) + 1)}
    for key in list(checkpoint):
        checkpoint[key] = _from_plain(checkpoint[key], (key,), types, holders)


def rewrite_checkpoint(source: str | Path, destination: str | Path) -> list[str]:
    """Rewrites a checkpoint of MMEngine as a plain one. It unpickles the source: only for files you trust.

    Args:
        source: checkpoint file.
        destination: file to write; may be the source itself.

    Returns:
        The objects that have no plain form, as from ``make_plain``; they are kept.

    Raises:
        FileNotFoundError: there is no such source.
        ValueError: the source is no dictionary.
    """
    if not Path(source).is_file():
        raise FileNotFoundError(f'{source}: no such checkpoint file')
    checkpoint = torch.load(source, map_location='cpu', weights_only=False)
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f'{source}: expected a dictionary as MMEngine saves it, got {type(checkpoint).__name__}'
        )
    objects = make_plain(checkpoint)
    write_checkpoint(checkpoint, destination)
    return objects


def write_checkpoint(checkpoint: dict, path: str | Path) -> None:
    """Save a checkpoint under a temporary name and rename it."""
    with written_aside(path) as temporary:
        torch.save(checkpoint, temporary)


def _to_plain(value, path: tuple, types: dict, objects: list):
    """The plain form of one value; ``types`` gets what it was by path, ``objects`` what has no plain form."""
    if type(value) in _PLAIN or isinstance(value, _TORCH):
        return value
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype != object:
        types[path] = dict(type='numpy', dtype=value.dtype.str, shape=list(value.shape))
        return value.tolist()
    if isinstance(value, HistoryBuffer):
        values, counts = value.data
        types[path] = dict(type='HistoryBuffer')
        return dict(
            log_history=values.tolist(), count_history=counts.tolist(), max_length=int(value.max_length)
        )
    if isinstance(value, dict):
        pairs = ((_plain_key(key), item) for key, item in value.items())
        return _like(value, ((key, _to_plain(item, path + (key,), types, objects)) for key, item in pairs))
    if isinstance(value, (set, frozenset)):
        types[path] = dict(type='set')
        return _to_plain(list(value), path, types, objects)
    if isinstance(value, (list, tuple, deque, np.ndarray)):
        items = [_to_plain(item, path + (index,), types, objects) for index, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, (bytes, bytearray)):
        types[path] = dict(type='bytes')
        return value.decode('latin-1')
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    for base in (int, float, str):  # subclasses, as an IntEnum
        if isinstance(value, base):
            return base(value)
    objects.append(f"{'.'.join(map(str, path))}: {type(value).__module__}.{type(value).__qualname__}")
    return value


def _from_plain(value, path: tuple, types: dict, holders: set):
    """The inverse of ``_to_plain``; what holds nothing to restore is returned as it is."""
    if path not in holders:
        return value
    kind = types.get(path)
    if kind is None or kind['type'] == 'set':
        if isinstance(value, dict):
            pairs = value.items()
            return _like(
                value, ((key, _from_plain(item, path + (key,), types, holders)) for key, item in pairs)
            )
        items = [_from_plain(item, path + (index,), types, holders) for index, item in enumerate(value)]
        return items if kind is None and isinstance(value, list) else (tuple if kind is None else set)(items)
    if kind['type'] == 'bytes':
        return value.encode('latin-1')
    if kind['type'] == 'HistoryBuffer':
        return HistoryBuffer(value['log_history'], value['count_history'], value['max_length'])
    return np.array(value, dtype=kind['dtype']).reshape(kind['shape'])[()]


def _plain_key(key):
    return key.item() if isinstance(key, np.generic) else key


def _like(value: dict, pairs) -> dict:
    """A dict or OrderedDict of new pairs; an OrderedDict keeps its attributes, as ``_metadata``."""
    if not isinstance(value, OrderedDict):
        return dict(pairs)
    result = OrderedDict(pairs)
    result.__dict__.update(vars(value))
    return result
