"""What a synthetic person wears and looks like: layers painted over the skin by place on the body."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from meshpose_plugins.data.synthetic.choices import pick
from meshpose_plugins.data.synthetic.materials import (
    Material,
    cloth,
    hair_color,
    skin_tone,
)
from meshpose_plugins.data.synthetic.photos import PictureSource
from meshpose_plugins.data.synthetic.regions import (
    ARM,
    FOOT,
    HAND,
    HEAD,
    LEG,
    TORSO,
    BodyMap,
    Places,
    unit_rows,
)

Region = Callable[[Places], np.ndarray]
_ABOVE, _BELOW, _FEET = (TORSO, HEAD, LEG, ARM, HAND), (TORSO, LEG, FOOT), (FOOT, LEG)


@dataclass
class Layer:
    """One layer of an outfit.

    Args:
        kinds: kinds of body part that it may cover.
        region: says for Places of these kinds which are covered, (P,) bool.
        material: its colours.
        thickness: metres by which it stands off the body when clothes are loose.
    """

    kinds: tuple[int, ...]
    region: Region
    material: Material
    thickness: float = 0.0


@dataclass
class Outfit:
    """Skin and the layers over it, innermost first.

    Args:
        skin: colour of the skin.
        layers: later ones cover earlier ones.
        wrinkles: (K, 7) folds of the cloth: direction and frequency (3, radians per metre), phase, push (3).
    """

    skin: Material
    layers: list[Layer] = field(default_factory=list)
    wrinkles: np.ndarray = field(default_factory=lambda: np.zeros((0, 7), np.float32))

    @staticmethod
    def _covered(layers: list[Layer], places: Places) -> Iterator[tuple[Layer, np.ndarray]]:
        """Yield each layer with the indices of the places that it covers."""
        for layer in layers:
            index, chosen = places.of_kinds(layer.kinds)
            covered = index[layer.region(chosen)]
            if len(covered):
                yield layer, covered

    def paint(self, places: Places) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return colours (P, 3), shine (P,) and whether a place is covered by cloth (P,) bool."""
        colors = np.array(self.skin.paint(places.xyz), np.float32)
        shine = np.full(len(colors), self.skin.shine, np.float32)
        cloth_covers = np.zeros(len(colors), bool)
        for layer, index in self._covered(self.layers, places):
            colors[index] = layer.material.paint(places.xyz[index])
            shine[index] = layer.material.shine
            cloth_covers[index] |= layer.thickness > 0
        return colors, shine, cloth_covers

    def thickness(self, places: Places) -> np.ndarray:
        """Return (P,) metres by which the outermost layer stands off the body."""
        total = np.zeros(len(places.kind), np.float32)
        thick = [layer for layer in self.layers if layer.thickness > 0]
        for layer, index in self._covered(thick, places):
            total[index] = layer.thickness
        return total

    def fold(self, normals: np.ndarray, places: Places, covered: np.ndarray) -> np.ndarray:
        """Bend the normals (P, 3) of cloth by a few waves that stand for folds."""
        if not len(self.wrinkles):
            return normals
        waves = np.sin(places.xyz @ self.wrinkles[:, :3].T + self.wrinkles[:, 3])
        return unit_rows(normals + (waves @ self.wrinkles[:, 4:]) * covered[:, None])


def _upper(body: BodyMap, rng: np.random.Generator, sleeve: float, hem: float) -> Region:
    """Cover the torso from the collar down to ``hem`` and the arms down to ``sleeve``."""
    collar = body.neck_height - pick(rng, [0.0, rng.uniform(0.0, 0.05)])
    depth, width = pick(rng, [0.0, rng.uniform(0.0, 0.16)]), rng.uniform(0.04, 0.12)

    def region(p: Places) -> np.ndarray:
        edge = collar - depth * np.clip(1 - np.abs(p.xyz[:, 0]) / width, 0, 1) * (
            p.xyz[:, 1] < body.eye[1] + 0.06
        )
        arm = (p.kind == ARM) | (p.kind == HAND)
        return np.where(arm, p.arm < sleeve, (p.leg < hem) & (p.xyz[:, 2] < edge))
    return region


def _lower(waist: float, hem: float) -> Region:
    return lambda p: (p.leg > waist) & (p.leg < hem)


def _shoes(top: float) -> Region:
    return lambda p: p.leg > top


def _strip(half_width: float, front: float) -> Region:
    """Cover a strip down the front (an open jacket)."""
    return lambda p: (np.abs(p.xyz[:, 0]) < half_width) & (p.xyz[:, 1] < front)


def _strap(rng: np.random.Generator, body: BodyMap) -> Region:
    """Cover a diagonal strap across the torso."""
    slope, width = pick(rng, [-1, 1]) * rng.uniform(0.6, 1.4), rng.uniform(0.012, 0.04)
    middle = body.shoulder_height - rng.uniform(0.1, 0.25)
    return lambda p: np.abs(p.xyz[:, 2] - middle - slope * p.xyz[:, 0]) < width


def _clothes(rng: np.random.Generator, body: BodyMap, pictures: PictureSource) -> list[Layer]:
    layers = []
    sleeve = pick(rng, [rng.uniform(0.82, 1.06), rng.uniform(0.18, 0.5), rng.uniform(0.45, 0.85), 0.02],
                  shares=[0.42, 0.38, 0.08, 0.12])
    hem = pick(rng, [rng.uniform(0.83, 1.02), rng.uniform(0.2, 0.6), rng.uniform(0.0, 0.1)],
               shares=[0.62, 0.3, 0.08])
    loose_leg = rng.uniform(0.003, 0.03)
    if rng.random() < 0.9:
        layers.append(Layer(_BELOW, _lower(rng.uniform(-0.26, -0.1), hem), cloth(rng, pictures), loose_leg))
    foot = rng.random()
    if foot < 0.85:
        if rng.random() < 0.5:
            layers.append(Layer(_FEET, _shoes(rng.uniform(0.75, 0.98)), cloth(rng, pictures), 0.003))
        top = rng.uniform(0.95, 1.0) if foot < 0.7 else rng.uniform(0.55, 0.95)
        layers.append(Layer(_FEET, _shoes(top), cloth(rng, pictures), rng.uniform(0.004, 0.012)))
    if rng.random() < 0.93:
        dress = rng.random() < 0.1
        length = rng.uniform(0.2, 0.75) if dress else rng.uniform(-0.16, 0.15)
        upper = cloth(rng, pictures)
        layers.append(Layer(_ABOVE, _upper(body, rng, sleeve, length), upper, rng.uniform(0.003, 0.03)))
        if rng.random() < 0.2:  # A jacket over it, open at the front or closed.
            jacket = _upper(body, rng, rng.uniform(0.8, 1.06), rng.uniform(-0.1, 0.3))
            layers.append(Layer(_ABOVE, jacket, cloth(rng, pictures), rng.uniform(0.01, 0.035)))
            if rng.random() < 0.7:
                open_front = _strip(rng.uniform(0.02, 0.09), body.eye[1] + 0.1)
                layers.append(Layer((TORSO,), open_front, upper, 0.008))
    if rng.random() < 0.12:
        layers.append(Layer((TORSO,), _strap(rng, body), cloth(rng, pictures), 0.01))
    if rng.random() < 0.06:
        layers.append(
            Layer((ARM, HAND), lambda p: (p.kind == HAND) | (p.arm > 0.97), cloth(rng, pictures), 0.004)
        )
    return layers


def _disc(center: np.ndarray, radii: np.ndarray) -> Region:
    """Cover an ellipsoid around two mirrored places of the head."""
    def region(p: Places) -> np.ndarray:
        away = np.column_stack([np.abs(p.xyz[:, 0]), p.xyz[:, 1:]]) - center
        return ((away / radii) ** 2).sum(1) < 1
    return region


def _face(rng: np.random.Generator, body: BodyMap, skin: np.ndarray, hair: np.ndarray) -> list[Layer]:
    """Draw eyes, brows and mouth, so that a face tells its direction."""
    eye, nose = body.eye, body.nose
    white = Material(np.array([225, 222, 218], np.float32) * rng.uniform(0.75, 1.0))
    dark = Material(np.array([45, 32, 26], np.float32))
    lips = Material((skin * np.array([0.85, 0.6, 0.6]) + np.array([18, 0, 4])).astype(np.float32))
    chin = nose[2] - rng.uniform(0.032, 0.04)
    layers = [
        Layer((HEAD,), _disc(eye, np.array([0.016, 0.05, 0.007])), white),
        Layer((HEAD,), _disc(eye, np.array([0.007, 0.05, 0.007])), dark),
        Layer(
            (HEAD,),
            _disc(eye + [0.004, 0, 0.022], np.array([0.022, 0.05, 0.005])),
            Material(hair * 0.8 + skin * 0.2),
        ),
        Layer((HEAD,), _disc(np.array([0, nose[1] + 0.01, chin]), np.array([0.026, 0.05, 0.008])), lips),
    ]
    if rng.random() < 0.2:  # A beard.
        low = nose[2] - rng.uniform(0.02, 0.05)
        back = body.eye[1] + rng.uniform(0.03, 0.08)
        mix = rng.uniform(0.3, 1.0)
        layers.insert(0, Layer((HEAD,), lambda p: (p.xyz[:, 2] < low) & (p.xyz[:, 1] < back)
                               & (p.xyz[:, 2] > low - 0.07), Material(hair * mix + skin * (1 - mix)), 0.003))
    if rng.random() < 0.12:  # Glasses.
        lens = Material(np.full(3, rng.uniform(5, 60), np.float32), shine=0.5)
        layers.append(Layer((HEAD,), _disc(eye, np.array([0.026, 0.05, 0.016])), lens, 0.004))
    return layers


def _hair(rng: np.random.Generator, body: BodyMap, color: np.ndarray) -> list[Layer]:
    kind = rng.random()
    if kind < 0.06:
        return []
    line = body.eye_height + rng.uniform(0.045, 0.07)
    ear, low = body.eye[1] + rng.uniform(0.05, 0.085), body.eye_height - rng.uniform(0.02, 0.09)
    long_to = body.shoulder_height - rng.uniform(-0.05, 0.2) if kind > 0.6 else np.inf
    slope, drape = rng.uniform(0.3, 1.2), pick(rng, [0.0, 0.0, 0.06])

    def region(p: Places) -> np.ndarray:
        x, y, z = np.abs(p.xyz[:, 0]), p.xyz[:, 1], p.xyz[:, 2]
        # The hairline falls from the forehead to the ears; behind the ears hair reaches down to the neck.
        crown = z > line - slope * np.maximum(y - body.eye[1] - 0.02, 0)
        behind = (y > ear) & (z > low)
        hair = (p.kind == HEAD) & (crown | behind)
        if np.isfinite(long_to):
            front = np.where(z > body.eye_height - 0.09, ear - 0.02, body.shoulder[1] - drape)
            hair |= (y > front) & (z > long_to) & (x < 0.11)
        return hair
    shade = np.clip(color[None, None] * rng.uniform(0.55, 1.35, (64, 64, 1)), 0, 255).astype(np.uint8)
    streaks = np.array([[260, 80, 10], [20, 20, 40]], np.float32)
    material = Material(color, shade, streaks, np.array([500, 500], np.float32), rng.uniform(0, 0.5))
    layers = [Layer((HEAD, TORSO), region, material, rng.uniform(0.004, 0.03 if kind < 0.6 else 0.04))]
    if rng.random() < 0.12:  # A hat, cap or hood.
        brim = body.eye_height + rng.uniform(0.03, 0.06)
        hood = rng.random() < 0.3
        layers.append(Layer((HEAD,), lambda p: (p.xyz[:, 2] > brim) | (hood & (p.xyz[:, 1] > ear)),
                            Material(rng.uniform(10, 240, 3).astype(np.float32)), rng.uniform(0.01, 0.03)))
    return layers


def sample_outfit(rng: np.random.Generator, body: BodyMap, pictures: PictureSource) -> Outfit:
    """Sample what a person wears and looks like."""
    skin, hair = skin_tone(rng), hair_color(rng)
    layers = _face(rng, body, skin, hair) + _clothes(rng, body, pictures) + _hair(rng, body, hair)
    count = int(rng.integers(3, 8))
    wrinkles = np.zeros((count, 7), np.float32)
    wrinkles[:, :3] = rng.normal(0, 1, (count, 3)) * np.exp(rng.uniform(2.5, 4.3, (count, 1)))
    wrinkles[:, 3] = rng.uniform(0, 2 * np.pi, count)
    wrinkles[:, 4:] = rng.normal(0, rng.uniform(0.02, 0.25), (count, 3))
    return Outfit(Material(skin, shine=rng.uniform(0, 0.25)), layers, wrinkles)
