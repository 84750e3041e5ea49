"""Plug-ins that predict a body mesh from one photograph: MeshPose for MMPose and Detectron2.

Importing this package costs nothing and needs no framework. Import what you use:

* ``meshpose_plugins.templates``: the low-poly surface a network predicts (``load_template('anny')``);
* ``meshpose_plugins.modeling``, ``meshpose_plugins.losses``: the network parts and losses in plain PyTorch;
* ``meshpose_plugins.integrations.mmpose``: the same parts registered with MMPose.
"""

__version__ = '0.1.0'

__all__ = ['__version__']
