# Synthetic people (tools/make_synthetic.py) at 384x288: the pipelines of 256x192, cropped larger.
_base_ = ['./synthetic_256x192.py']
input_size = (288, 384)

train_pipeline = [dict(step, input_size=input_size) if step.type == 'TopdownAffine' else step
                  for step in _base_.train_pipeline]
val_pipeline = [dict(step, input_size=input_size) if step.type == 'TopdownAffine' else step
                for step in _base_.val_pipeline]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
