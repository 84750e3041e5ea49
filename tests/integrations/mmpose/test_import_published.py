"""The published checkpoints' importer against golden outputs under seeded weights."""
from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from published_weights import CONFIG, golden, golden_input, network_tensors, upsampler_tensors

from meshpose_plugins.cli import train as train_command
from meshpose_plugins.cli.import_published import main
from meshpose_plugins.deploy import published
from meshpose_plugins.deploy.demo import write_image_results
from meshpose_plugins.evaluation.predictions import load_predictions
from meshpose_plugins.integrations.mmpose.inferencer import MeshPoseInferencer
from meshpose_plugins.integrations.mmpose.transforms import MeshPoseTransform
from meshpose_plugins.templates import load_template
from mmpose.apis import init_model
from mmpose.registry import DATASETS, METRICS


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Seeded files, imported: paths, tensors and the model; what the command printed."""
    folder = tmp_path_factory.mktemp("published")
    network, upsampler = network_tensors(), upsampler_tensors()
    extra = {"model.model.1.training_step": torch.zeros(3)}
    torch.save({"model": {"root": {**network, **extra}}, "iteration": 7}, folder / "network.pth")
    torch.save({"model": {"VERTEX_UPSAMPLE": {**upsampler, **extra}}}, folder / "upsampler.pth")
    out = folder / "imported.pth"
    assert main([str(folder / "network.pth"), str(folder / "upsampler.pth"), "--out", str(out)]) == 0
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["imported.npz", "imported.pth", "network.pth", "upsampler.pth"]  # no temporary file stays
    for name in ("network.pth", "upsampler.pth"):
        (folder / name).unlink()
    model = init_model(str(CONFIG), str(out), device="cpu")
    yield SimpleNamespace(checkpoint=out, template=folder / "imported.npz", network=network, model=model)
    out.unlink()


@pytest.fixture(scope="module")
def output(imported):
    with torch.no_grad():
        return imported.model(golden_input(), None, mode="tensor")


def worst(value, expected: np.ndarray) -> float:
    value = value.numpy() if isinstance(value, torch.Tensor) else value
    assert value.shape == expected.shape
    return float(np.abs(value - expected).max())


def test_parity(imported, output):
    expected = golden()
    assert worst(output.xy_vertexpose[0], expected["vertexpose_xy"]) < 1e-3  # heatmap px
    assert worst(output.heatmaps[0].mean((1, 2)), expected["heatmap_mean"]) < 1e-4
    assert worst(output.heatmaps[0].std((1, 2), correction=0), expected["heatmap_std"]) < 1e-4
    assert worst(output.visibility_logits[0], expected["visibility_logit"]) < 1e-5
    assert worst(output.visibility[0], expected["visibility"]) < 1e-5
    assert worst(output.xyz_crop[0], expected["fused_xyz_crop_px"]) < 0.01  # crop px, seams averaged
    template = load_template(imported.template)
    for xyz in (output.xyz_crop, output.xyz_crop.numpy()):
        full = template.upsample(xyz)
        assert full.shape == (1, 6890, 3)
        assert worst(full[0], expected["upsampled_xyz_crop_px"]) < 0.02


def test_ranges_are_the_published_read_out(output):
    height, width = 96, 72
    x, y, z = (golden()[f"regressed_{axis}"] for axis in "xyz")
    heatmap_px = [3 * height / 64 * x - height, 4 * width / 64 * y - width, 4 * width / 64 * z - 2 * width]
    assert worst(output.xyz_regressed[0], 4 * np.stack(heatmap_px, -1)) < 0.01


def test_checkpoint_is_plain_and_complete(imported):
    checkpoint = torch.load(imported.checkpoint, map_location="cpu", weights_only=True)
    assert set(checkpoint["state_dict"]) == set(imported.model.state_dict())
    assert checkpoint["meta"]["template"] == str(imported.template)


def test_a_tensor_too_few(imported):
    shapes = {name: tuple(value.shape) for name, value in imported.model.state_dict().items()}
    layout = dict(imported.network)
    gone = [name for name in layout if "stage4.2.fuse_layers" in name or "softargmax" in name]
    for name in gone:
        del layout[name]
    with pytest.raises(ValueError) as error:
        published.convert_network(layout, shapes, (96, 72))
    assert [line.split(": ")[1] for line in str(error.value).splitlines()[1:]] == gone
    converted = published.convert_network(imported.network, shapes, (96, 72))
    used = {published.published_name(name) for name in converted}
    constants = {name for name in imported.network if name.endswith(("grid", "positions"))}
    assert used | constants == set(imported.network)


def test_command_reports_bad_files(tmp_path, capsys):
    tensors = {"model.model.0.encoder.conv1.weight": torch.zeros(1)}
    torch.save({"model": {"root": tensors}}, tmp_path / "bad.pth")
    arguments = [str(tmp_path / "bad.pth"), str(tmp_path / "bad.pth"), "--out", str(tmp_path / "out.pth")]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    printed = capsys.readouterr().err
    assert printed == f"{stop.value}\n" and stop.value.code == 2
    assert "bad.pth lacks 1799 tensors and has 1 of another shape, of 1800" in printed
    assert "misshapen: model.model.0.encoder.conv1.weight is (1,), expected (64, 3, 3, 3)" in printed
    assert "missing: model.model.1.branch_models.SP_MESHPOSE.grid" in printed
    with pytest.raises(SystemExit, match="choose a name ending with .pth"):
        main([*arguments[:3], str(tmp_path / "out.npz")])
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pth"]


def test_config_predicts_people_of_an_annotation_file(imported, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 255, (200, 150, 3), np.uint8))
    person = dict(id=5, image_id=1, category_id=1, bbox=[20, 20, 80, 150], area=12000, iscrowd=0,
                  keypoints=[50, 60, 2] * 17, num_keypoints=17)
    (tmp_path / "a.json").write_text(json.dumps(dict(
        images=[dict(id=1, file_name="a.png", width=150, height=200)], categories=[dict(id=1, name="person")],
        annotations=[person])))
    config = Config.fromfile(str(CONFIG))
    dataset = DATASETS.build(dict(config.test_dataloader.dataset, data_root=f"{tmp_path}/", ann_file="a.json",
                                  data_prefix=dict(img="")))
    batch = pseudo_collate([dataset[0]])
    metric = METRICS.build(dict(config.test_evaluator, outfile_prefix=str(tmp_path / "people.npz")))
    with torch.no_grad():
        metric.process(batch, [sample.to_dict() for sample in imported.model.test_step(batch)])
    metric.evaluate(1)
    record, = load_predictions(tmp_path / "people.npz", load_template("meshpose-published"))
    assert record.vertices.shape == (518, 3) and record.template == "meshpose-published"
    # The box of 80 x 150 px about (60, 95): grown to 3 : 4, times 1.25, and (v - 127.5) / 127.5 in RGB.
    meta = batch["data_samples"][0].metainfo
    np.testing.assert_allclose(meta["input_center"], [60, 95])
    np.testing.assert_allclose(meta["input_scale"], [1.25 * 112.5, 1.25 * 150])
    inputs = imported.model.data_preprocessor(batch)["inputs"][0]
    np.testing.assert_allclose(inputs.numpy(), (batch["inputs"][0].numpy()[::-1] - 127.5) / 127.5, atol=1e-6)


def test_it_cannot_be_trained():
    with pytest.raises(SystemExit, match="for prediction only: it has no train_cfg"):
        train_command.main([str(CONFIG)])


def test_flips_are_refused(imported):
    features = (torch.zeros(1, 256, 96, 72),)
    with pytest.raises(ValueError, match="has no symmetry: set flip_test=False"):
        imported.model.head.predict([features, features], [None], dict(flip_test=True))
    transform = MeshPoseTransform(template="meshpose-published")
    crop = dict(img_shape=(100, 80), input_size=(288, 384), bbox_center=np.array([[40.0, 50.0]]),
                bbox_scale=np.array([[60.0, 80.0]]))
    assert transform(dict(crop))["vertices_crop"].shape == (1, 518, 3)
    mesh = dict(vertices_image=np.zeros((1, 518, 3)))
    with pytest.raises(ValueError, match="leave RandomFlip out of the pipeline"):
        transform(dict(crop, **mesh, flip=True, flip_direction="horizontal"))


def grid_surface(rows: int, columns: int) -> np.ndarray:
    """Faces (M, 3) of a grid of rows x columns vertices."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1, 1)
    return np.concatenate([corner + [0, 1, columns], corner + [1, columns + 1, columns]])


def test_checkpoint_alone_predicts_and_draws(imported, tmp_path):
    inferencer = MeshPoseInferencer(imported.checkpoint, device="cpu")
    image = np.full((96, 72, 3), 90, np.uint8)
    boxes = np.array([[5.0, 5.0, 65.0, 90.0]], np.float32)
    people = inferencer.predict(image, "a", boxes, np.ones(1, np.float32))
    assert people[0].vertices.shape == (518, 3) and inferencer.template.num_body_vertices == 6890
    with pytest.raises(ValueError, match="has no surface: .*import_published.py --surface FILE"):
        write_image_results(tmp_path, "a", image, people, inferencer.template)
    # With faces and rest positions of a body of 6890 vertices, here a sheet, everything can be drawn.
    rest = np.random.default_rng(0).random((6890, 3))
    np.savez(tmp_path / "body.npz", f=grid_surface(65, 106), v_template=rest)
    template = inferencer.template.replace(surface=published.read_surface(tmp_path / "body.npz", 6890))
    files = write_image_results(tmp_path, "a", image, people, template, formats=("obj",))
    assert [path.suffix for path in files] == [".jpg", ".html", ".obj"]
    assert sum(line.startswith("v ") for line in files[2].read_text().splitlines()) == 6890
    picture = cv2.imread(str(files[0]))
    assert picture.shape[1] < 3.1 * 640 and np.ptp(picture[40:, 490:960]) > 100  # 3 panels, a mesh on the second
    with pytest.raises(ValueError, match="has no faces: its low-poly mesh cannot be drawn"):
        write_image_results(tmp_path, "a", image, people, template, wireframe=True)
