"""training.checkpoint: arrays and metadata come back bit for bit, and damage is refused."""

import math
import os
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from minigrad import nn, random
from minigrad.training.checkpoint import CheckpointError, load, save


def special(dtype):
    """Values that are easily changed on the way: signs of zero, NaN's bits, subnormal numbers."""
    x = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-40, 1 / 3], dtype)
    x.view(f"u{x.itemsize}")[2] ^= 5  # a NaN with something to say
    return x


BASE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
STATE = {
    "float32": special(np.float32),
    "float64": special(np.float64),
    "integers": np.arange(-3, 3),
    "bytes": np.arange(7, dtype=np.uint8),
    "truth": np.array([True, False]),
    "Fortran": np.asfortranarray(BASE),
    "transposed": BASE.transpose(2, 0, 1),
    "every second": BASE[:, ::2, ::-1],
    "stride 0": np.broadcast_to(BASE[0], (3, 3, 4)),
    "0-d": np.array(2.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
    "misaligned": np.frombuffer(b"." + BASE.tobytes(), np.float32, offset=1),
    "big-endian": BASE.astype(">f4"),
    "read-only": np.frombuffer(BASE.tobytes(), np.float32),
    "decoder.4.weight": BASE,
}


def assert_same(got, want):
    assert got.shape == want.shape
    assert got.dtype == want.dtype.newbyteorder("=")
    assert got.tobytes() == want.astype(got.dtype).tobytes()


@pytest.mark.parametrize("name", STATE)
def test_weights_come_back_bit_for_bit_whatever_their_layout(name, tmp_path):
    """safetensors writes memory as it lies: a transposed array would come back scrambled."""
    path, array = tmp_path / "model.safetensors", STATE[name]
    before = array.tobytes()
    save(path, {name: array, "another": BASE})
    assert array.tobytes() == before
    loaded = load(path)[0]
    assert loaded.keys() == {name, "another"}
    assert_same(loaded[name], array)
    assert_same(loaded["another"], BASE)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.usefixtures("torch")
def test_pytorch_reads_the_same_weights(tmp_path):
    from safetensors.torch import load_file

    path, state = tmp_path / "model.safetensors", nn.Linear(3, 4).state_dict()
    state["Fortran"] = STATE["Fortran"]
    save(path, state)
    loaded = load_file(path)
    assert loaded.keys() == state.keys()
    for name in state:
        assert_same(loaded[name].numpy(), state[name])


def test_the_same_content_gives_the_same_bytes(tmp_path):
    """safetensors keeps metadata in a hash map: their order in the file is another each time."""
    contents = set()
    for _ in range(20):  # two orders, at random: 2⁻¹⁹ that it goes unnoticed
        save(tmp_path / "w.safetensors", {"w": BASE, "b": BASE[0]}, iteration=7, seed=0)
        contents.add((tmp_path / "w.safetensors").read_bytes())
    assert len(contents) == 1


def test_saving_again_replaces_the_weights(tmp_path):
    path = tmp_path / "model.safetensors"
    save(path, {"w": np.zeros(1000, np.float32)})
    save(path, {"w": np.ones(3, np.float32)})
    assert load(path)[0]["w"].tolist() == [1, 1, 1]


def test_a_state_that_cannot_be_saved_leaves_the_old_weights_whole(tmp_path):
    path = tmp_path / "model.safetensors"
    save(path, {"w": np.ones(3, np.float32)})
    before = path.read_bytes()
    with pytest.raises(Exception, match="dtype"):
        save(path, {"w": np.array(["not a number"])})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def assert_refused_before_writing(path, arrays, metadata, words):
    with pytest.raises(ValueError, match=words):
        save(path, arrays, **metadata)
    assert not path.exists() and os.listdir(path.parent) == []


DTYPES = [np.complex64, np.complex128, object, "S3", "U3", "M8[s]", "m8[s]", np.longdouble, "V4",
          [("a", "f4")]]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes_that_the_format_has_not_are_refused_by_name(dtype, tmp_path):
    array = np.zeros(2, dtype)
    if np.dtype(dtype) == np.float64:
        pytest.skip("longdouble is float64 here")
    words = re.escape(f"w has dtype {array.dtype}")
    assert_refused_before_writing(tmp_path / "f", {"ok": BASE, "w": array}, {}, words)


@pytest.mark.parametrize("kind", ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2"])
@pytest.mark.parametrize("order", "<>")
def test_every_other_dtype_comes_back_in_either_byte_order(kind, order, tmp_path):
    for array in (np.array([0, 1, 1], order + kind), np.array(1, order + kind)):
        save(tmp_path / "f", {"w": array})
        assert_same(load(tmp_path / "f")[0]["w"], array)


@pytest.mark.parametrize("name", ["__metadata__", 0, None, b"w", ("a", 1), "\udcff"])
def test_names_that_the_format_cannot_hold_are_refused(name, tmp_path):
    words = re.escape(f"{name!r} cannot name an array")
    assert_refused_before_writing(tmp_path / "f", {"ok": BASE, name: BASE}, {}, words)


@pytest.mark.parametrize("value", [
    (1, 2), {1: "a"}, {"a": [{None: 1}]}, {True: 1}, math.nan, [math.inf], {"a": {1, 2}},
    np.float32(1), np.int64(1), np.zeros(2), b"x", Path("x"), 10**5000, {"1": 0, 1: 1},
], ids=lambda v: type(v).__name__)  # fmt: skip
def test_metadata_that_json_would_change_are_refused_before_writing(value, tmp_path):
    metadata = {"ok": 1, "odd": value}
    assert_refused_before_writing(tmp_path / "f", {"w": BASE}, metadata, "save: JSON .*odd")


def test_the_name_of_the_checksum_is_reserved(tmp_path):
    for value in ("…", "0" * 64, None):
        words = "sha256 is reserved for the file's checksum"
        assert_refused_before_writing(tmp_path / "f", {"w": BASE}, {"sha256": value}, words)
    save(tmp_path / "f", {"sha256": BASE}, inner={"sha256": "mine"})  # elsewhere it is free
    assert load(tmp_path / "f")[1] == {"inner": {"sha256": "mine"}}


PATTERN = '\\\\"sha256\\\\": \\\\"' + "0" * 64 + '\\\\"'


@pytest.mark.parametrize("text", [
    "0" * 64, PATTERN, PATTERN.replace("\\\\", ""), PATTERN.replace("\\\\", "\\"),
    f'{{"sha256": "{"0" * 64}"}}', "", "a.b", '"', "\0",
])  # fmt: skip
def test_what_looks_like_the_checksum_comes_back_as_it_was(text, tmp_path):
    """As a name, in a name, as metadata, as the name of metadata, and in the arrays' bytes."""
    arrays = {text: BASE, "w" + text: np.frombuffer(text.encode() + b".", np.uint8)}
    metadata = {"a" + text: text, "A": [text, {text: text}], " ": text}
    save(tmp_path / "f", arrays, **metadata)
    loaded, found = load(tmp_path / "f")
    assert found == metadata and loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert_same(loaded[name], array)


def test_metadata_come_back_as_they_were(tmp_path):
    metadata = {"a": [1, 2.5, -0.0, True, None, "naïve \udcff"], "b": {"c": {}}, "d": 2**70}
    save(tmp_path / "f", {}, **metadata)
    assert repr(load(tmp_path / "f")[1]) == repr(metadata)


def test_many_writers_of_one_file_leave_the_weights_of_one_of_them(tmp_path):
    path, errors = tmp_path / "model.safetensors", []

    def write(value):
        try:
            for _ in range(20):
                save(path, {"w": np.full(5000, value, np.float32)})
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=[value]) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    w = load(path)[0]["w"]
    assert w.shape == (5000,) and len(set(w.tolist())) == 1
    assert os.listdir(tmp_path) == [path.name]


def test_a_module_saved_and_loaded_computes_the_same(tmp_path):
    def network():
        return nn.Sequential(nn.Linear(3, 4), nn.ELU(), nn.Linear(4, 2))

    with random.fork(0):
        first, second = network(), network()
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    assert (first(x).data != second(x).data).any()
    save(tmp_path / "w.safetensors", first.state_dict())
    second.load_state_dict(load(tmp_path / "w.safetensors")[0])
    assert (first(x).data == second(x).data).all()


def test_weights_cut_short_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save(path, {"w": np.ones(1000, np.float32)})
    content = path.read_bytes()
    for size in range(len(content)):
        (tmp_path / "cut").write_bytes(content[:size])
        with pytest.raises(CheckpointError, match="cut is damaged"):
            load(tmp_path / "cut")
    (tmp_path / "cut").write_bytes(content + b"\0")
    with pytest.raises(CheckpointError, match="cut is damaged"):
        load(tmp_path / "cut")


def test_any_flipped_bit_is_refused(tmp_path):
    """Also in the header, in its padding, and in the checksum itself."""
    path = tmp_path / "w.safetensors"
    save(path, {"w": np.ones(30, np.float32), "empty": np.zeros(0)}, iteration=7, note="naïve")
    content = bytearray(path.read_bytes())
    for bit in range(8 * len(content)):
        content[bit // 8] ^= 1 << bit % 8
        (tmp_path / "flipped").write_bytes(content)
        content[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CheckpointError, match="flipped is damaged"):
            load(tmp_path / "flipped")
    arrays, metadata = load(path)
    assert metadata == {"iteration": 7, "note": "naïve"} and arrays["w"].sum() == 30


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"w": np.ones(3)}, tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="foreign.*no checkpoint of minigrad's"):
        load(tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="missing: No such file"):
        load(tmp_path / "missing")
