"""One synthetic sample: a picture of a person with every label."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from meshpose_plugins.bodies import BodyModel, PosedBody
from meshpose_plugins.data.synthetic import compose, labels
from meshpose_plugins.data.synthetic.camera import (
    NEAREST,
    Camera,
    rotation_about,
    sample_camera,
)
from meshpose_plugins.data.synthetic.choices import pick
from meshpose_plugins.data.synthetic.kernels import (
    bounds,
    gather_pixels,
    move,
    vertex_normals,
)
from meshpose_plugins.data.synthetic.lighting import Light, sample_light
from meshpose_plugins.data.synthetic.outfit import Outfit, sample_outfit
from meshpose_plugins.data.synthetic.photos import PictureSource
from meshpose_plugins.data.synthetic.poses import PoseSource
from meshpose_plugins.data.synthetic.regions import BodyMap, unit_rows
from meshpose_plugins.data.synthetic.settings import SyntheticSettings
from meshpose_plugins.rendering import Raster, rasterize, vertex_visibility
from meshpose_plugins.templates import MeshTemplate

#: A picture must show at least this share of the template's vertices, and this share of its pixels must be
#: the person.
_LEAST_VERTICES = 0.12
_LEAST_PIXELS = 0.02
_ATTEMPTS = 6


@dataclass
class SyntheticSample:
    """One picture of a person and its labels.

    Args:
        jpeg: the encoded picture.
        annotation: the COCO annotation with DensePose fields (ids are index + 1).
        vertices_image: (V, 3) float32 x, y image px; z relative to the root joint in px at the root's depth.
        visibility: (V,) uint8.
        vertices_camera: (V, 3) float32 metres relative to the root joint, x right, y down, z away.
    """

    jpeg: bytes
    annotation: dict
    vertices_image: np.ndarray
    visibility: np.ndarray
    vertices_camera: np.ndarray


@dataclass
class Person:
    """A posed and dressed person in camera space.

    Args:
        points: (N, 3) float32 body vertices, metres.
        normals: (N, 3) float32 unit normals.
        dressed: (N, 3) float32, the vertices moved out to the clothes.
        outfit: colours.
    """

    points: np.ndarray
    normals: np.ndarray
    dressed: np.ndarray
    outfit: Outfit


@dataclass
class View:
    """What the camera sees of the people's meshes, the main person's first.

    Args:
        xyz: (K, 3) x, y image px, z metres.
        faces: (M, 3).
        raster: the pixels.
    """

    xyz: np.ndarray
    faces: np.ndarray
    raster: Raster


class SampleGenerator:
    """Makes samples; sample k depends on the settings, the files given and k alone.

    Args:
        settings: choices of the data set.
        template: the template whose vertices are labelled.
        body: the body model of the template's surface.
        pictures: backgrounds, prints and occluders.
        poses: where poses come from.
    """

    def __init__(
        self,
        settings: SyntheticSettings,
        template: MeshTemplate,
        body: BodyModel,
        pictures: PictureSource,
        poses: PoseSource,
    ) -> None:
        if template.body != body.name:
            raise ValueError(
                f"template '{template.name}' lies on body '{template.body}', not on '{body.name}'"
            )
        surface = template.surface
        if len(body.vertices) != len(surface.vertices) or not np.array_equal(body.faces, surface.faces):
            raise ValueError(
                f"template '{template.name}' was built on another surface of '{body.name}': it has "
                f'{len(surface.vertices)} vertices and {len(surface.faces)} faces, the body {body!r} has '
                f'{len(body.vertices)} and {len(body.faces)}, or others; give the model that it was built on'
            )
        self.settings, self.template, self.body = settings, template, body
        self.pictures, self.poses = pictures, poses
        self.map = BodyMap(template)
        self.faces = self.map.faces
        self.two_faces = np.concatenate([self.faces, self.faces + len(body.vertices)])
        rest = np.asarray(template.surface.vertices)
        rest_keypoints = np.stack([self.map.landmarks[name] for name in template.keypoint_names])
        self.keypoint_radii = np.array([np.linalg.norm(rest - k, axis=1).min() for k in rest_keypoints])

    def sample(self, index: int) -> SyntheticSample:
        """Return sample ``index``."""
        rng = self.settings.random(index)
        truncated = rng.random() < self.settings.truncation
        for attempt in range(_ATTEMPTS):
            # A person too small or too hidden is drawn anew; the last attempts are simple enough to succeed.
            simple = attempt >= _ATTEMPTS - 2
            made = self._attempt(rng, index, truncated and not simple, simple)
            if made is not None:
                return made
        raise ValueError(
            f'sample {index} of seed {self.settings.seed}: no visible person in {_ATTEMPTS} attempts'
        )

    def _pose(self, rng: np.random.Generator) -> PosedBody:
        return self.body.pose(self.body.sample_shape(rng), self.poses.sample(rng))

    def _person(self, rng: np.random.Generator, points: np.ndarray) -> Person:
        points = np.ascontiguousarray(points, np.float32)
        normals = vertex_normals(points, self.faces)
        outfit = sample_outfit(rng, self.map, self.pictures)
        dressed = points
        if rng.random() < self.settings.loose_clothes:
            dressed = points + normals * outfit.thickness(self.map.vertices)[:, None]
        return Person(points, normals, np.ascontiguousarray(dressed, np.float32), outfit)

    def _attempt(
        self, rng: np.random.Generator, index: int, truncated: bool, simple: bool
    ) -> SyntheticSample | None:
        width, height = self.settings.width, self.settings.height
        posed = self._pose(rng)
        mesh = posed.vertices[self.template.source_vertex_ids]
        root = self.template.joints(mesh)[self.template.root_joint].astype(np.float64)
        camera = sample_camera(
            rng,
            posed.vertices,
            root,
            posed.keypoints[0],
            width,
            height,
            truncated,
        )
        points = camera.to_camera(posed.vertices, root)
        # Of a closed surface hardly more than half is seen: this frame can be dropped before it is drawn.
        if self._share_inside(camera, points) < 1.5 * _LEAST_VERTICES:
            return None
        people = [self._person(rng, points)]
        if not simple and rng.random() < self.settings.second_person:
            other = self._second_person(rng, camera)
            people += [] if other is None else [other]

        clothed = bare = self._view(camera, [p.dressed for p in people])
        if people[0].dressed is not people[0].points:
            bare = self._view(camera, [people[0].points] + [p.dressed for p in people[1:]])
        person = clothed.raster.mask & (clothed.raster.face_ids < len(self.faces))
        if person.sum() < _LEAST_PIXELS * person.size:
            return None
        image = self._paint(rng, clothed.raster, people)
        hidden = np.zeros_like(person)
        if not simple and rng.random() < self.settings.occluders:
            hidden = compose.add_occluders(rng, image, person, self.pictures)
        jpeg = compose.encode_jpeg(rng, compose.photograph(rng, image))
        return self._label(
            rng, index, jpeg, camera, people[0], posed, root, clothed, bare, person & ~hidden, hidden
        )

    def _share_inside(self, camera: Camera, points: np.ndarray) -> float:
        """Return the share of the template's vertices that project into the image."""
        xy = camera.project(points[self.template.source_vertex_ids])[:, :2]
        size = np.array([self.settings.width, self.settings.height])
        return float(((xy > -0.5) & (xy < size - 0.5)).all(1).mean())

    def _second_person(self, rng: np.random.Generator, camera: Camera) -> Person | None:
        """Place another person beside, behind or in front of the first; None where that would be too near."""
        posed = self._pose(rng)
        rotation = camera.rotation @ rotation_about(2, rng.uniform(-np.pi, np.pi))
        side = pick(rng, [-1.0, 1.0])
        depth = pick(rng, [-1.0, 1.0, 1.0]) * rng.uniform(0.2, 1.2)
        offset = np.array([side * rng.uniform(0.15, 1.0), rng.normal(0, 0.1), depth])
        points = move(posed.vertices, rotation, camera.root + offset - rotation @ posed.joints[0])
        if bounds(points)[0, 2] < NEAREST:
            return None
        return self._person(rng, points)

    def _view(self, camera: Camera, meshes: list[np.ndarray]) -> View:
        faces = self.faces if len(meshes) == 1 else self.two_faces
        xyz = camera.project(np.concatenate(meshes))
        return View(xyz, faces, rasterize(xyz, faces, self.settings.height, self.settings.width))

    def _paint(self, rng: np.random.Generator, raster: Raster, people: list[Person]) -> np.ndarray:
        """Return the (H, W, 3) uint8 picture of the people before a background."""
        image = self.pictures.picture(rng, raster.width, raster.height)
        light = sample_light(rng)
        soft = rng.uniform(0.4, 0.9)
        if rng.random() < 0.5:
            # The background gets a little of the scene's light, so that people do not always stand out.
            image = cv2.convertScaleAbs(image, alpha=rng.uniform(0.6, 1.1))
        count = len(self.faces)
        pixels = np.flatnonzero(raster.face_ids >= 0)
        ids, barycentrics = raster.face_ids.ravel()[pixels], raster.barycentrics.reshape(-1, 3)[pixels]
        colors = np.empty((len(ids), 3), np.float32)
        for number, person in enumerate(people):
            mine = slice(None) if len(people) == 1 else np.flatnonzero(ids // count == number)
            colors[mine] = self._colors(person, ids[mine] - number * count, barycentrics[mine], light)
        return compose.paste(image, colors, pixels, soft)

    def _colors(self, person: Person, ids: np.ndarray, barycentrics: np.ndarray, light: Light) -> np.ndarray:
        """Return the (P, 3) float32 lit colours of a person's pixels."""
        attributes = np.concatenate([self.map.attributes, person.normals], axis=1)
        values = gather_pixels(ids, barycentrics, self.faces, attributes)
        places = BodyMap.places(values[:, :5], self.map.face_kinds[ids])
        paint, shine, covered = person.outfit.paint(places)
        normals = person.outfit.fold(unit_rows(values[:, 5:]), places, covered)
        return light.shade(paint, normals.astype(np.float32), shine)

    def _parts(self, raster: Raster, person: np.ndarray) -> np.ndarray:
        """Return the (H, W) uint8 part of the first body at each of the person's pixels, 0 elsewhere."""
        # The last entry serves id -1, the background; other bodies' faces count as none.
        part_of = np.zeros(2 * len(self.faces) + 1, np.uint8)
        part_of[:len(self.faces)] = self.template.surface.face_parts
        return part_of[raster.face_ids] * person

    def _label(
        self,
        rng: np.random.Generator,
        index: int,
        jpeg: bytes,
        camera: Camera,
        main: Person,
        posed: PosedBody,
        root: np.ndarray,
        clothed: View,
        bare: View,
        person: np.ndarray,
        hidden: np.ndarray,
    ) -> SyntheticSample | None:
        box = labels.mask_box(person)
        ids = self.template.source_vertex_ids
        projected = bare.xyz[ids]
        # Only the body itself and others hide a vertex, not its own clothes: the network is to see through
        # them.
        seen = vertex_visibility(bare.raster, bare.xyz, bare.faces, ids) & labels.unhidden(
            projected[:, :2], hidden
        )
        if box is None or seen.mean() < _LEAST_VERTICES or person.sum() < _LEAST_PIXELS * person.size:
            return None
        parts = self._parts(clothed.raster, person)
        annotated = parts if bare is clothed else self._parts(bare.raster, person)
        if not annotated.any():
            return None
        keypoints = camera.project(camera.to_camera(posed.keypoints, root))
        annotation = labels.annotation_of(index, box, person, labels.keypoint_labels(
            keypoints[:, :2], keypoints[:, 2], self.keypoint_radii, bare.raster.depth, person))
        annotation.update(labels.densepose_fields(rng, bare.raster, annotated, self.template.surface, box))
        annotation['dp_masks'] = labels.part_masks(parts, box)
        relative = main.points[ids] - camera.root
        image_space = np.column_stack([projected[:, :2], relative[:, 2] * camera.focal / camera.root[2]])
        return SyntheticSample(jpeg, annotation, image_space.astype(np.float32), seen.astype(np.uint8),
                               relative.astype(np.float32))

