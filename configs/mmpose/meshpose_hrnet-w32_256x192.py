# The published network (see meshpose_hrnet-w32_384x288.py) at the smaller crop.
_base_ = ['./_base_/runtime.py', './_base_/synthetic_256x192.py', './_base_/losses.py',
          './_base_/hrnet-w32_reference.py']

model = dict(head=dict(input_size=(192, 256), losses=_base_.losses))
