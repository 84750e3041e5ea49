"""The few names of ``pkg_resources`` that MMEngine and Detectron2 use, over the standard library.

setuptools 82 removed ``pkg_resources``; MMEngine 0.10 (``get_installed_path``) and Detectron2 (``model_zoo``)
still import it. ``provide()`` lets them find this file under that name, behind every real one.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.metadata
import importlib.util
import os
import sys

_NAME = 'pkg_resources'


class DistributionNotFound(Exception):
    """A package that is not installed."""


class Distribution:
    """An installed package: its name, version, folder and metadata files."""

    def __init__(self, found: importlib.metadata.Distribution):
        self._found = found
        self.project_name, self.version = found.metadata['Name'], found.version
        self.location = str(found.locate_file(''))

    def has_metadata(self, name: str) -> bool:
        return self._found.read_text(name) is not None

    def get_metadata(self, name: str) -> str:
        text = self._found.read_text(name)
        if text is None:
            raise FileNotFoundError(f'{self.project_name} {self.version} has no metadata file {name}')
        return text


def get_distribution(name: str) -> Distribution:
    """The installed package of that name; DistributionNotFound where there is none."""
    try:
        return Distribution(importlib.metadata.distribution(name))
    except importlib.metadata.PackageNotFoundError as error:
        raise DistributionNotFound(f"no package '{name}' is installed") from error


def resource_filename(package: str, resource: str) -> str:
    """The path of a file that lies in a package's folder; it need not exist."""
    return os.path.join(os.path.dirname(importlib.import_module(package).__file__), resource)


def resource_exists(package: str, resource: str) -> bool:
    """Whether a file lies in a package's folder."""
    return os.path.exists(resource_filename(package, resource))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds this file under the name ``pkg_resources``, also when MMEngine reloads it."""

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_file_location(_NAME, __file__) if name == _NAME else None


def provide() -> bool:
    """Makes ``import pkg_resources`` work where setuptools no longer has it.

    Returns:
        True when this stand-in is needed here, False when a real one is installed.
    """
    if not any(
        type(finder).__name__ == _Finder.__name__ and type(finder).__module__ == __name__
        for finder in sys.meta_path
    ):
        sys.meta_path.append(_Finder())  # last, so that a real one is always found first
    spec = importlib.util.find_spec(_NAME)
    return spec is not None and spec.origin == __file__
