"""The incompatibilities between MMPose 1.x and today's stock packages, absorbed in one place.

``apply()`` runs on ``import meshpose_plugins.integrations.mmpose``, before anything of MMPose is imported:

1. mmcv without compiled operators (mmcv-lite): two heads of MMPose import ``mmcv.ops`` unconditionally, so
   that ``import mmpose.models`` fails. A stand-in ``mmcv.ops`` lets every model be imported whose layers are
   plain PyTorch; an operator raises a clear error when it is built or called.
2. xtcocotools' wheel is compiled for numpy 1 and breaks under numpy 2, and there is none for Python 3.12:
   pycocotools serves under its name.
3. torch >= 2.6 loads files with ``weights_only=True``, which refuses MMEngine's own checkpoints.
   ``PlainCheckpointHook`` (checkpoint_hook.py) writes ours as plain numbers and lists; here only the refusal
   of other files gets a clear message.
4. setuptools >= 82 has no ``pkg_resources`` any more, which ``import mmpose.apis`` asks MMEngine for: the few
   names in use are provided over the standard library.

Each stands aside when the real thing works, and is announced once in the log.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import pickle
import re
import sys
import types

from meshpose_plugins.integrations.pkg_resources_stand_in import provide

logger = logging.getLogger('meshpose_plugins')

_FULL_MMCV = (
    "install mmcv with compiled operators (pip uninstall mmcv-lite; pip install -U openmim; "
    "mim install 'mmcv<2.2')"
)

_notices: list[str] = []


def apply() -> tuple[str, ...]:
    """Makes MMPose importable next to the packages that are installed; calling it again changes nothing.

    Returns:
        The notices: one sentence for each thing that was absorbed; empty where all packages work.

    Raises:
        ImportError: MMPose or what it stands on is not installed.
    """
    missing = [name for name in ('mmengine', 'mmcv', 'mmpose') if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f'{", ".join(missing)} not installed, and MMPose needs it: '
            "pip install 'meshpose_plugins[mmpose]' && pip install --no-deps mmpose==1.3.2"
        )
    for absorb in (
        _absorb_missing_pkg_resources,
        _absorb_missing_mmcv_ops,
        _absorb_broken_xtcocotools,
        _explain_refused_checkpoints,
    ):
        notice = absorb()
        if notice is not None and notice not in _notices:
            _notices.append(notice)
            logger.info(notice)
    return tuple(_notices)


def notices() -> tuple[str, ...]:
    """What ``apply()`` absorbed in this process, one sentence each, for the log of a training run."""
    return tuple(_notices)


def _import_error(name: str) -> Exception | None:
    """Imports a module and returns what went wrong, None when it works."""
    try:
        importlib.import_module(name)
    except (ImportError, AttributeError, ValueError) as error:  # numpy's ABI check raises each of the three
        return error
    return None


def _forget(package: str) -> None:
    """Drops what a failed import of a package left behind."""
    for name in [name for name in sys.modules if name == package or name.startswith(package + '.')]:
        del sys.modules[name]


# ---- 1. mmcv.ops


class _OperatorFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``mmcv.ops`` and every module below it as modules of stand-in operators."""

    def __init__(self, reason: str):
        self.reason = reason

    def find_spec(self, name, path=None, target=None):
        if name != 'mmcv.ops' and not name.startswith('mmcv.ops.'):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return _OperatorModule(spec.name, f'Stand-in for {spec.name}: {self.reason}')

    def exec_module(self, module):
        module.reason = self.reason


class _OperatorModule(types.ModuleType):
    """A module of stand-in operators; callable, as ``mmcv.ops.nms`` is both a module and an operator."""

    def __getattr__(self, name):
        if name.startswith('_'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')
        operator = _operator(name, self.reason)
        setattr(self, name, operator)
        return operator

    def __call__(self, *args, **kwargs):
        return _operator(self.__name__.rpartition('.')[2], self.reason)(*args, **kwargs)


def _operator(name: str, reason: str) -> type:
    """A class in place of one compiled operator: it can be imported and inherited, not built or called."""
    from torch import nn

    def refuse(self, *args, **kwargs):
        raise RuntimeError(
            f"mmcv.ops.{name} needs mmcv's compiled operators, which are missing here ({reason}). "
            f'To use a model with {name}: {_FULL_MMCV}'
        )

    # nn.Module, as mmdet and MMPose inherit from some operators and ask isinstance() about others.
    return type(
        name, (nn.Module,), dict(__init__=refuse, __module__='mmcv.ops', __doc__=f'Stand-in for {name}.')
    )


def _absorb_missing_mmcv_ops() -> str | None:
    if any(isinstance(finder, _OperatorFinder) for finder in sys.meta_path):
        return None
    error = _import_error('mmcv.ops')
    if error is None:
        return None
    _forget('mmcv.ops')
    sys.meta_path.insert(0, _OperatorFinder(f'{type(error).__name__}: {error}'))
    importlib.import_module('mmcv.ops')
    return (
        'mmcv has no compiled operators here: mmcv.ops is a stand-in, and only models that need such an '
        f'operator are unavailable; for those {_FULL_MMCV}'
    )


# ---- 2. xtcocotools


def _absorb_broken_xtcocotools() -> str | None:
    error = _import_error('xtcocotools.coco') or _import_error('xtcocotools.mask')
    if error is None:
        return None
    _forget('xtcocotools')
    from pycocotools import coco, mask

    package = types.ModuleType('xtcocotools', doc='pycocotools under the name of xtcocotools')
    package.__path__ = []
    package.coco, package.mask, package.cocoeval = coco, mask, _cocoeval()
    sys.modules.update(
        {
            'xtcocotools': package,
            'xtcocotools.coco': coco,
            'xtcocotools.mask': mask,
            'xtcocotools.cocoeval': package.cocoeval,
        }
    )
    return (
        f'xtcocotools does not import here ({type(error).__name__}: {str(error).strip().splitlines()[0]}): '
        'pycocotools is used in its place'
    )


def _cocoeval() -> types.ModuleType:
    """A module with a COCOeval that understands the two arguments xtcocotools added to pycocotools' one."""
    import numpy as np
    from pycocotools import cocoeval

    class COCOeval(cocoeval.COCOeval):
        """pycocotools' COCOeval with sigmas of one's own, and for annotations without areas.

        Args:
            cocoGt, cocoDt (COCO): ground truth and results.
            iouType (str): 'keypoints', 'bbox' or 'segm'; others need the real xtcocotools.
            sigmas (K,): per-keypoint constants of OKS; None for COCO's own 17.
            use_area (bool): False takes 0.53 of the box as the area, as xtcocotools does.
        """

        def __init__(
            self, cocoGt=None, cocoDt=None, iouType='keypoints', sigmas=None, use_area=True
        ):  # noqa: N803
            if iouType not in ('keypoints', 'bbox', 'segm'):
                raise ValueError(
                    f"iou_type={iouType!r} needs xtcocotools, which does not import here; its wheels "
                    "are for Python < 3.12 and numpy < 2: pip install xtcocotools 'numpy<2'"
                )
            super().__init__(cocoGt, cocoDt, iouType)
            if sigmas is not None:
                self.params.kpt_oks_sigmas = np.asarray(sigmas)
            self.use_area = use_area

        def _prepare(self):
            super()._prepare()
            for key, annotations in self._gts.items():
                self._gts[key] = [self._with_area(annotation) for annotation in annotations]

        def _with_area(self, annotation):
            if self.use_area and 'area' in annotation:
                return annotation
            _, _, width, height = annotation['bbox']
            return dict(annotation, area=width * height * 0.53)

    module = types.ModuleType('xtcocotools.cocoeval', doc=cocoeval.__doc__)
    module.COCOeval, module.Params = COCOeval, cocoeval.Params
    return module


# ---- 3. checkpoints


def _explain_refused_checkpoints() -> str | None:
    """Puts a message that names the file and the way out on the refusal of a file with pickled objects."""
    from mmengine.runner import checkpoint as stock

    if getattr(stock.CheckpointLoader._get_checkpoint_loader(''), '__module__', '') == __name__:
        return None

    def load_from_local(filename, map_location):  # MMEngine's log reads the backend off the function's name
        try:
            return stock.load_from_local(filename, map_location)
        except pickle.UnpicklingError as error:
            raise ValueError(_refusal(filename, error)) from error

    stock.CheckpointLoader.register_scheme(prefixes='', loader=load_from_local, force=True)
    return None


def _refusal(filename: str, error: Exception) -> str:
    """The message for a file that torch refuses or cannot read."""
    refused = re.search(r'GLOBAL (\S+)', str(error))
    if refused is None:
        return f'{filename}: torch cannot read this checkpoint; copy or save it again ({error})'
    return (
        f'{filename}: torch refuses this checkpoint: it holds pickled Python objects, as {refused.group(1)}, '
        'besides tensors, and loading those runs code of whoever wrote it. If you trust its source, rewrite '
        f'it once as plain numbers: meshpose plain-checkpoint {filename} plain.pth'
    )


# ---- 4. pkg_resources


def _absorb_missing_pkg_resources() -> str | None:
    return (
        'setuptools has no pkg_resources any more: the few names MMEngine uses come from the standard library'
        if provide()
        else None
    )
