# The published network at the published crop; template, ranges of the regression and data are ours.
# 46.3 M parameters and 18.3 G multiply-accumulates at 518 vertices (tools/analyze.py).
_base_ = ['./_base_/runtime.py', './_base_/synthetic_384x288.py', './_base_/losses.py',
          './_base_/hrnet-w32_reference.py']

model = dict(
    # To start from MMPose's COCO weights of HRNet-W32; all but the last fusion fits, and the log says so:
    # backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=FILE, prefix='backbone.')),
    head=dict(input_size=(288, 384), losses=_base_.losses))
