"""Training in stages, and loss weights that change on the way, from the config."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from torch import nn

from meshpose_plugins.losses import MeshPoseCriterion

INTERPOLATIONS = ('linear', 'step')


def _criterion(runner, hook: Hook) -> MeshPoseCriterion:
    """Return the criterion of the model that trains."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    criterion = getattr(getattr(model, 'head', None), 'criterion', None)
    if not isinstance(criterion, MeshPoseCriterion):
        raise ValueError(
            f'{type(hook).__name__} needs a model with a MeshPoseHead, got {type(model).__name__}'
        )
    return criterion


def _check_names(hook: Hook, names: Sequence[str], criterion: MeshPoseCriterion) -> None:
    unknown = sorted(set(names) - set(criterion.losses))
    if unknown:
        raise ValueError(
            f'{type(hook).__name__}: no loss named {unknown[0]!r}: the head has '
            f"{', '.join(map(repr, criterion.losses))}"
        )


@HOOKS.register_module()
class LossWeightSchedule(Hook):
    """Change loss weights by the iteration: ``[(2000, 0.0), (4000, 1.0)]`` is off, then a ramp, then full.

    The factors multiply the ``loss_weight`` of the config: a loss that is switched off there stays off. A
    weight depends on the iteration alone: a resumed run has the right one at once. A loss whose weight is 0
    is not computed. The weights are logged as ``weight/<name>``.

    Args:
        factors: name of a loss in the head's ``losses`` -> pairs (iteration, factor), in order; before the
            first pair its factor holds, after the last one the last.
        interpolation: between two pairs: 'linear' ramps, or 'step', where the earlier factor holds.

    Example:
        >>> custom_hooks = [
        ...     dict(type='LossWeightSchedule', factors=dict(silhouette=[(0, 0.0), (4000, 1.0)]))]
    """

    def __init__(
        self, factors: dict[str, Sequence[tuple[int, float]]], interpolation: str = 'linear'
    ) -> None:
        if interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"LossWeightSchedule: interpolation={interpolation!r}: expected 'linear' or 'step'"
            )
        self.interpolation = interpolation
        self.factors = {name: _checked_pairs(name, pairs) for name, pairs in factors.items()}
        self._full_weights: dict[str, float] = {}

    def before_train(self, runner) -> None:
        """Check the names, and note the weights of the config."""
        criterion = _criterion(runner, self)
        _check_names(self, self.factors, criterion)
        self._full_weights = {name: criterion.losses[name].loss_weight for name in self.factors}

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Set the weights of this iteration."""
        criterion = _criterion(runner, self)
        for name, full in self._full_weights.items():
            weight = full * self.factor_at(name, runner.iter)
            criterion.losses[name].loss_weight = weight
            runner.message_hub.update_scalar(f'train/weight/{name}', weight)

    def after_train(self, runner) -> None:
        """Leave the weights as the config has them."""
        for name, full in self._full_weights.items():
            _criterion(runner, self).losses[name].loss_weight = full

    def factor_at(self, name: str, iteration: int) -> float:
        """Factor of a loss in an iteration, counted from 0."""
        pairs = self.factors[name]
        before = [pair for pair in pairs if pair[0] <= iteration]
        if not before:
            return pairs[0][1]
        (first, low), after = before[-1], pairs[len(before) :]
        if not after or self.interpolation == 'step':
            return low
        last, high = after[0]
        return low + (high - low) * (iteration - first) / (last - first)


def _checked_pairs(name: str, pairs: Sequence) -> list[tuple[int, float]]:
    try:
        checked = [(int(iteration), float(factor)) for iteration, factor in pairs]
    except (TypeError, ValueError):
        checked = []
    iterations = [iteration for iteration, _ in checked]
    if (
        not checked
        or iterations != sorted(set(iterations))
        or not all(isfinite(factor) and factor >= 0 for _, factor in checked)
    ):
        raise ValueError(
            f'LossWeightSchedule: factors[{name!r}] must be pairs (iteration, factor >= 0) with rising '
            f'iterations, got {pairs}'
        )
    return checked


@HOOKS.register_module()
class StagedTraining(Hook):
    """Train in stages: in each only some losses count, and parts of the model are frozen.

    A frozen part keeps its weights and the statistics of its batch norms, and passes no gradients on, so that
    an untrained branch does not shape the features that it reads. The stage depends on the iteration alone, so
    a resumed run is in the right one at once. In several processes the config also needs
    ``find_unused_parameters = True``, as frozen parts have no gradients.

    Args:
        stages: dicts with ``begin`` (first iteration; 0 in the first stage), and optionally ``losses`` (names
            in the head's ``losses``; the others are 0 and not computed; default: all) and ``frozen`` (parts
            of the model, e.g. ``'head.network.regression'`` or ``'backbone'``; default: none).

    Example:
        >>> custom_hooks = [dict(type='StagedTraining', stages=[
        ...     dict(begin=0, losses=['barycentric', 'uv', 'vertexpose', 'heatmap'],
        ...          frozen=['head.network.regression']),
        ...     dict(begin=2000)])]
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self, stages: Sequence[dict]) -> None:
        self.stages = [dict(stage) for stage in stages]
        begins = [stage.get('begin') for stage in self.stages]
        good = begins and all(isinstance(begin, int) for begin in begins)
        if not good or begins[0] != 0 or begins != sorted(set(begins)):
            raise ValueError(
                f'StagedTraining: stages must begin at 0 and at rising iterations, got begin={begins}'
            )
        for stage in self.stages:
            unknown = set(stage) - {'begin', 'losses', 'frozen'}
            if unknown:
                raise ValueError(
                    f"StagedTraining: a stage has 'begin', 'losses' and 'frozen', got {sorted(unknown)[0]!r}"
                )
        self._current: int | None = None
        self._frozen: list[nn.Parameter] = []
        self._cuts: list = []

    def stage_at(self, iteration: int) -> int:
        """Index of the stage of an iteration, counted from 0."""
        return sum(stage['begin'] <= iteration for stage in self.stages) - 1

    def before_train(self, runner) -> None:
        """Check the names."""
        criterion = _criterion(runner, self)
        for stage in self.stages:
            _check_names(self, stage.get('losses') or (), criterion)
            self._parts(runner, stage)
        distributed = is_model_wrapper(runner.model)
        if distributed and self._freezes() and not getattr(runner.model, 'find_unused_parameters', False):
            raise ValueError(
                'StagedTraining freezes parts of the model: training in several processes then needs the '
                'line find_unused_parameters = True in the config'
            )
        self._current = None

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Enter the stage of this iteration; frozen parts stay in evaluation mode after a validation."""
        index = self.stage_at(runner.iter)
        stage = self.stages[index]
        parts = self._parts(runner, stage)
        if index != self._current:
            self._enter(runner, index, parts)
        for part in parts:
            part.eval()

    def after_train(self, runner) -> None:
        """Leave the model unfrozen, with all losses."""
        self._unfreeze()
        _criterion(runner, self).active = None

    def _enter(self, runner, index: int, parts: list[nn.Module]) -> None:
        stage = self.stages[index]
        _criterion(runner, self).active = stage.get('losses')
        self._unfreeze()
        if self._current is not None:
            for part in self._parts(runner, self.stages[self._current]):
                part.train()
        for part in parts:
            self._cuts.append(part.register_forward_hook(lambda module, inputs, output: _detached(output)))
            for parameter in part.parameters():
                if parameter.requires_grad:
                    parameter.requires_grad_(False)
                    parameter.grad = None
                    self._frozen.append(parameter)
        self._current = index
        losses, frozen = (', '.join(stage.get(key) or [default])
                          for key, default in (('losses', 'all'), ('frozen', 'nothing')))
        runner.logger.info(
            f'stage {index + 1} of {len(self.stages)} at iteration {runner.iter}: losses {losses}; frozen: '
            f'{frozen}'
        )

    def _unfreeze(self) -> None:
        for parameter in self._frozen:
            parameter.requires_grad_(True)
        for cut in self._cuts:
            cut.remove()
        self._frozen, self._cuts = [], []

    def _freezes(self) -> bool:
        return any(stage.get('frozen') for stage in self.stages)

    def _parts(self, runner, stage: dict) -> list[nn.Module]:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        parts = []
        for name in stage.get('frozen') or ():
            try:
                parts.append(model.get_submodule(name))
            except AttributeError:
                raise ValueError(
                    f"StagedTraining: the model has no part named {name!r} to freeze; e.g. 'backbone', "
                    "'neck', 'head.network.vertexpose' and 'head.network.regression' are parts"
                ) from None
        return parts


def _detached(output):
    """What a part returns (tensors, or tuples and lists of them), cut off the graph."""
    if isinstance(output, (tuple, list)):
        return type(output)(_detached(entry) for entry in output)
    return output.detach() if hasattr(output, 'detach') else output
