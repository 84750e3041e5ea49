"""Synthetic people with every label: random bodies, clothes, cameras and backgrounds."""

from meshpose_plugins.data.synthetic.make import (
    MakeReport,
    build_generator,
    make_synthetic,
)
from meshpose_plugins.data.synthetic.settings import SyntheticSettings

__all__ = ['MakeReport', 'SyntheticSettings', 'build_generator', 'make_synthetic']
