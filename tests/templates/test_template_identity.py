"""The template of a checkpoint, without a model around it."""

import dataclasses

import pytest
import torch

from meshpose_plugins.templates import load_template
from meshpose_plugins.templates.identity import check_template_id, decode_template_id, encode_template_id


def test_identity_round_trip_and_digest():
    template = load_template('anny')
    stored = encode_template_id(template)
    assert stored.dtype == torch.int64 and stored.shape == (64,)
    name, digest = decode_template_id(stored)
    assert name == 'anny' and len(digest) == 32
    check_template_id(template, stored)
    check_template_id(template, stored.to(torch.uint8))  # as older checkpoints have it
    check_template_id(template, None)
    other = dataclasses.replace(template, faces=template.faces[::-1])
    assert decode_template_id(encode_template_id(other))[1] != digest
    with pytest.raises(ValueError, match='another build of the template .* its .npz as MODEL.TEMPLATE$'):
        check_template_id(other, stored, 'MODEL.TEMPLATE')
    with pytest.raises(ValueError, match="trained with 'anny', the config says MODEL.TEMPLATE='mine'"):
        check_template_id(dataclasses.replace(other, name='mine'), stored, 'MODEL.TEMPLATE')
