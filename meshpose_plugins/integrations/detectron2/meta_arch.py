"""R-CNN whose meshes are resized with the image."""

from __future__ import annotations

from detectron2.modeling import META_ARCH_REGISTRY, GeneralizedRCNN
from detectron2.structures import Instances


def resize_meshes(instances: Instances) -> Instances:
    """Bring ``pred_mesh`` to the image size of its instances, in place.

    ``detector_postprocess`` resizes the fields that it knows. The meshes remember the size of the image that
    they are in, so that resizing them again changes nothing.

    Args:
        instances: of one image; without ``pred_mesh`` they stay as they are.

    Returns:
        the instances.
    """
    if instances.has("pred_mesh") and instances.pred_mesh.image_size != tuple(instances.image_size):
        instances.pred_mesh = instances.pred_mesh.resized(instances.image_size)
    return instances


@META_ARCH_REGISTRY.register()
class MeshPoseRCNN(GeneralizedRCNN):
    """``GeneralizedRCNN`` whose results' ``pred_mesh`` is in px of the image that was asked for."""

    def inference(self, batched_inputs, detected_instances=None, do_postprocess: bool = True):
        """As ``GeneralizedRCNN.inference``."""
        results = super().inference(batched_inputs, detected_instances, do_postprocess)
        if do_postprocess:
            for result in results:
                resize_meshes(result["instances"])
        return results
