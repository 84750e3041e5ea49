"""Config files, and configs as text inside weight files: those are read as data, never executed."""

from __future__ import annotations

import ast
import copy
from pathlib import Path

from mmengine.config import Config

_RUN_KEYS = ('work_dir', 'load_from', 'resume', 'launcher', 'auto_scale_lr')


def read_config(path: str | Path) -> Config:
    """Read a config file of MMEngine; like every Python config it is executed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it, or a file of its ``_base_``, is no valid Python (named with the line), JSON or YAML.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'config {path} does not exist')
    try:
        return Config.fromfile(str(path))
    except SyntaxError as error:
        where = f'config {path}: in a file of its _base_' if _is_python(path) else f'config {path}'
        raise ValueError(f'{where}: no valid Python at line {error.lineno}: {error.msg}') from None
    except Exception as error:
        if path.suffix == '.py':
            raise  # it is executed: whatever goes wrong in it keeps its traceback
        raise ValueError(f'config {path}: cannot be read: {error}') from None


def _is_python(path: Path) -> bool:
    """Whether this file alone is valid Python."""
    try:
        ast.parse(path.read_text(encoding='utf-8'))
    except SyntaxError:
        return False
    return True


def parse_config_text(text: str, source: str) -> Config:
    """Read the text of a resolved config without running it.

    MMEngine executes config files, and a weights file should not be able to run code. A resolved config
    (`Config.pretty_text`) is nothing but assignments of numbers, strings, lists, tuples and dicts.

    Args:
        text: the config.
        source: the file it comes from, for messages.

    Returns:
        the config.

    Raises:
        ValueError: naming the source and the line that is not plain data.
    """
    try:
        statements = ast.parse(text).body
    except SyntaxError as error:
        raise ValueError(
            f'{source}: the config inside is broken at line {error.lineno}: {error.msg}'
        ) from None
    values = {}
    for statement in statements:
        if not (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            raise ValueError(
                f'{source}: the config inside has more than plain data at line {statement.lineno}; '
                f'pass --config FILE'
            )
        values[statement.targets[0].id] = _value(statement.value, source)
    return Config(values)


def _value(node: ast.expr, source: str):
    """The value of one expression of plain data."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(k, source): _value(v, source) for k, v in zip(node.keys, node.values)}
    if _is_plain_dict_call(node):
        return {keyword.arg: _value(keyword.value, source) for keyword in node.keywords}
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(_value(item, source) for item in node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        operand = _value(node.operand, source)
        if isinstance(operand, (int, float)):
            return -operand if isinstance(node.op, ast.USub) else operand
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):
        return float(node.id)
    raise ValueError(
        f'{source}: the config inside has more than plain data at line {node.lineno} '
        f'({ast.unparse(node)[:60]}); pass --config FILE'
    )


def _is_plain_dict_call(node: ast.expr) -> bool:
    """Whether an expression is dict(a=..., b=...)."""
    named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict'
    return named and not node.args and all(keyword.arg for keyword in node.keywords)


def portable_config(config: Config) -> Config:
    """A config without what belongs to one run or one machine.

    Args:
        config: a training config.

    Returns:
        a copy without work_dir, load_from, resume and launcher, and without the backbone's initial weights.

    Raises:
        ValueError: naming the fields that hold absolute paths.
    """
    values = {key: value for key, value in copy.deepcopy(config.to_dict()).items() if key not in _RUN_KEYS}
    values['model']['backbone'].pop('init_cfg', None)
    absolute = list(_absolute_paths(values, ''))
    if absolute:
        raise ValueError(
            'config: absolute paths do not belong into a weights file: '
            + '; '.join(absolute[:5])
            + '. Pass the config file with relative paths: --config FILE'
        )
    return Config(values)


def _absolute_paths(value, name: str):
    """Yield 'field = path' for every absolute path in a nested config."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _absolute_paths(item, f'{name}.{key}' if name else str(key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _absolute_paths(item, f'{name}[{index}]')
    elif isinstance(value, str) and value.startswith(('/', '~')):
        yield f'{name} = {value!r}'
