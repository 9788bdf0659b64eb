"""What a user meets first in modules: names, how they print, and errors that say what to write."""

import inspect

import numpy as np
import pytest

from minigrad import Tensor, nn, random, tanh

# ---- PyTorch's names mean what they mean there


def tree(nn):
    """Shared: a layer that stands in two places, and a buffer."""

    class Block(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.first, self.norm, self.again = layer, nn.BatchNorm1d(3), layer

        def forward(self, x, *, scale=1.0):
            return self.again(self.norm(self.first(x))) * scale

    layer = nn.Linear(3, 3)
    return nn.Sequential(Block(layer), nn.Tanh(), layer)


def kinds(items):
    return [item if isinstance(item, str) else type(item).__name__ for item in items]


@pytest.mark.parametrize("inside", [False, True])
def test_walks_over_modules_are_torchs(inside, torch):
    ours, theirs = tree(nn), tree(torch.nn)
    if inside:
        ours, theirs = ours[0], theirs[0]
    for walk in ("children", "modules"):
        assert kinds(getattr(ours, walk)()) == kinds(getattr(theirs, walk)())
    for walk in ("named_children", "named_modules"):
        a, b = ([kinds(pair) for pair in getattr(m, walk)()] for m in (ours, theirs))
        assert a == b and len(a) > 1
    for walk in ("named_parameters", "named_buffers"):
        a, b = ([(n, tuple(t.shape)) for n, t in getattr(m, walk)()] for m in (ours, theirs))
        assert a == b and len(a) > 2
    for walk in ("parameters", "buffers"):
        a, b = ([tuple(t.shape) for t in getattr(m, walk)()] for m in (ours, theirs))
        assert a == b
    assert dict(ours.named_modules(prefix="net")).keys() == (
        dict(theirs.named_modules(prefix="net")).keys()
    )
    assert all(isinstance(module, nn.Module) for module in ours.children())


def test_keywords_reach_forward():
    block = next(tree(nn).children()).eval()
    x = Tensor(random.normal((2, 3)))
    np.testing.assert_array_equal(block(x, scale=3).data, 3 * block(x).data)


def test_a_sequential_is_a_sequence_as_in_torch(torch):
    for library in (nn, torch.nn):
        a, b, c = library.Tanh(), library.ReLU(), library.Linear(2, 2)
        layers = library.Sequential(a, b, c, a)
        assert len(layers) == 4 and list(layers) == [a, b, c, a]
        assert layers[0] is a and layers[-2] is c
        part = layers[1:3]
        assert type(part) is library.Sequential and list(part) == [b, c]
        assert list(part.state_dict()) == ["2.weight", "2.bias"]
        assert len(layers[4:]) == 0
        with pytest.raises(IndexError):
            layers[4]


def test_a_dictionary_names_the_modules_of_a_sequential():
    layers = nn.Sequential({"hidden": nn.Linear(2, 3), "out": nn.Linear(3, 1)})
    assert list(layers.state_dict())[::2] == ["hidden.weight", "out.weight"]
    assert layers(Tensor(np.ones((5, 2), np.float32))).shape == (5, 1)
    for name in ("", "a.b", "forward"):
        with pytest.raises(ValueError, match="can't be named"):
            nn.Sequential({name: nn.Tanh()})


def test_train_goes_through_an_override():
    class Frozen(nn.Module):
        def train(self, mode=True):
            return super().train(False)

    layers = nn.Sequential(Frozen(), nn.Tanh())
    layers.train()
    assert [m.training for m in layers] == [False, True]


# ---- printing


@pytest.mark.parametrize(("name", "arguments", "settings"), [
    ("Linear", (3, 2), {}), ("Linear", (3, 2), {"bias": False}),
    ("Conv2d", (1, 2, 3), {}), ("Conv2d", (1, 2, (3, 4), 2, 1), {"bias": False}),
    ("ConvTranspose2d", (1, 2, 3), {}), ("ConvTranspose2d", (1, 2, 3, 2, (1, 0), 1), {}),
    ("BatchNorm1d", (4,), {}), ("BatchNorm2d", (4,), {"eps": 0.1, "momentum": 0.5}),
    ("MaxPool2d", (2,), {}), ("MaxPool2d", ((2, 3), 1), {"padding": 1}),
    ("AvgPool2d", (2,), {}), ("AvgPool2d", (3, (2, 1)), {"padding": 1}),
    ("PixelShuffle", (2,), {}), ("Flatten", (), {}), ("Unflatten", (1, (2, 2)), {}),
    ("Dropout", (), {}), ("Dropout", (0.1,), {}), ("ReLU", (), {}), ("LeakyReLU", (0.2,), {}),
    ("ELU", (), {}), ("Sigmoid", (), {}), ("Tanh", (), {}), ("Sequential", (), {}),
])  # fmt: skip
def test_a_layer_prints_as_torchs(name, arguments, settings, torch):
    ours = getattr(nn, name)(*arguments, **settings)
    assert repr(ours) == repr(getattr(torch.nn, name)(*arguments, **settings))


def test_every_layer_prints_its_name():
    """PyTorch's Softplus alone has settings that ours has not."""
    assert repr(nn.Softplus()) == "Softplus()"


def test_a_nest_prints_as_torchs(torch):
    def nest(nn):
        class Own(nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder, self.hidden = nn.Sequential(nn.Linear(2, 3), nn.Tanh()), nn.ELU()

            def extra_repr(self):
                return "depth=2"

        class Lines(nn.Module):
            def extra_repr(self):
                return "one,\ntwo"

        return nn.Sequential(Own(), Lines(), nn.Sequential())

    assert repr(nest(nn)) == repr(nest(torch.nn)) and "    (encoder): " in repr(nest(nn))


# ---- PyTorch's places of arguments


@pytest.mark.parametrize(("name", "shared"), [
    ("Linear", 3), ("Conv2d", 8), ("ConvTranspose2d", 9), ("BatchNorm1d", 3), ("BatchNorm2d", 3),
    ("MaxPool2d", 3), ("AvgPool2d", 3), ("PixelShuffle", 1), ("Unflatten", 2), ("Dropout", 1),
    ("LeakyReLU", 1), ("ELU", 1), ("Flatten", 0), ("Softplus", 0), ("ReLU", 0),
])  # fmt: skip
def test_arguments_stand_in_torchs_places(name, shared, torch):
    ours, theirs = (
        list(inspect.signature(getattr(library, name)).parameters.values())
        for library in (nn, torch.nn)
    )
    ours = [p for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert len(ours) == shared
    for a, b in zip(ours, theirs, strict=False):
        assert (a.name, a.default) == (b.name, b.default)


def test_dropout_of_everything_leaves_nothing(torch):
    x = random.normal((3, 4))
    assert not nn.Dropout(1.0)(Tensor(x)).data.any()
    assert not torch.nn.Dropout(1.0)(torch.tensor(x)).numpy().any()


# ---- settings that make no sense, at construction

NAN, INF = float("nan"), float("inf")
SIZES = (0, -1, 0.5, 2.0, NAN, "3", None, True)


@pytest.mark.parametrize(("make", "words"), [
    *[(lambda n=n: nn.Linear(n, 2), "Linear: in_features = ") for n in SIZES],
    *[(lambda n=n: nn.Linear(2, n), "Linear: out_features = ") for n in SIZES],
    *[(lambda n=n: nn.Conv2d(n, 2, 3), "Conv2d: in_channels = ") for n in SIZES],
    *[(lambda n=n: nn.Conv2d(2, n, 3), "Conv2d: out_channels = ") for n in SIZES],
    *[(lambda n=n, make=make: make(1, 2, n), "2d: kernel_size = ")
      for n in (*SIZES, (3,), (3, 0), (1, 2, 3)) for make in (nn.Conv2d, nn.ConvTranspose2d)],
    *[(lambda n=n, make=make: make(1, 2, 3, stride=n), "2d: stride = ")
      for n in (*SIZES, (1, 0)) for make in (nn.Conv2d, nn.ConvTranspose2d)],
    *[(lambda n=n, make=make: make(1, 2, 3, padding=n), "2d: padding = ")
      for n in ("same", "valid", -1, (0, -1), 0.5) for make in (nn.Conv2d, nn.ConvTranspose2d)],
    (lambda: nn.ConvTranspose2d(1, 2, 3, output_padding=-1), "output_padding = -1; it must be"),
    *[(lambda n=n, make=make: make(1, 2, 3, dilation=n), f"dilation = {n}; minigrad has")
      for n in (2, 0, False) for make in (nn.Conv2d, nn.ConvTranspose2d)],
    (lambda: nn.Conv2d(2, 2, 3, groups=2), "groups = 2; minigrad has groups = 1 alone"),
    (lambda: nn.Conv2d(1, 2, 3, 1, 0, False), "switched off by name: bias=False"),
    (lambda: nn.ConvTranspose2d(1, 2, 3, 1, 0, 0, False), "switched off by name: bias=False"),
    *[(lambda n=n: nn.BatchNorm1d(n), "BatchNorm1d: num_features = ") for n in SIZES],
    *[(lambda n=n: nn.BatchNorm2d(2, eps=n), "BatchNorm2d: eps = ")
      for n in (0, -1e-5, NAN, INF, None, "x")],
    *[(lambda n=n: nn.BatchNorm2d(2, momentum=n), "BatchNorm2d: momentum = ")
      for n in (None, -0.1, 1.1, NAN, "x")],
    *[(lambda n=n, make=make: make(n), "Pool2d: kernel_size = ")
      for n in SIZES for make in (nn.AvgPool2d, nn.MaxPool2d)],
    (lambda: nn.MaxPool2d(2, stride=0), "MaxPool2d: stride = 0"),
    (lambda: nn.AvgPool2d(2, padding=-1), "AvgPool2d: padding = -1"),
    *[(lambda n=n: nn.PixelShuffle(n), "PixelShuffle: upscale_factor = ") for n in SIZES],
    *[(lambda n=n: nn.Dropout(n), "Dropout: p = ") for n in (-0.1, 1.1, NAN, None, "x", True)],
    *[(lambda n=n: nn.LeakyReLU(n), "LeakyReLU: negative_slope = ") for n in (NAN, INF, None)],
    *[(lambda n=n: nn.ELU(n), "ELU: alpha = ") for n in (NAN, INF, "x")],
    (lambda: nn.Unflatten(1, 4), "Unflatten: unflattened_size = 4"),
    (lambda: nn.Unflatten(1, (2, 0.5)), "Unflatten: a size = 0.5"),
    (lambda: nn.Unflatten("x", (2, 2)), "Unflatten: dim = 'x'"),
    (lambda: nn.Sequential([nn.Tanh()]), r"is a list; write Sequential\(\*modules\)"),
    (lambda: nn.Sequential(m for m in [nn.Tanh()]), r"write Sequential\(\*modules\)"),
    (lambda: nn.Sequential(nn.Linear(2, 2), tanh), r"module 1 is tanh; .* such as nn.Tanh\(\)"),
    (lambda: nn.Sequential(nn.Tanh), r"module 0 is Tanh; write Tanh\(\)"),
    (lambda: nn.Sequential(nn.Linear(2, 2), None), "module 1 is a NoneType"),
    (lambda: nn.Linear(2, 2).train(np.ones(3)), "mode is a ndarray; it must be True or False"),
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make()


def test_numbers_of_numpy_are_numbers():
    layer = nn.Conv2d(np.int64(1), np.int32(2), np.array([3, 3]), stride=np.int64(2))
    assert repr(layer) == repr(nn.Conv2d(1, 2, 3, 2)) and nn.Dropout(np.float32(0.5)).p == 0.5


# ---- all or nothing


def state(**changes):
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    return module, {name: value + 1 for name, value in module.state_dict().items()} | changes


@pytest.mark.parametrize(("name", "value", "words"), [
    ("0.bias", np.ones(2, complex), "complex128, which float32 can't hold"),
    ("0.bias", np.array(["a", "b"]), "<U1, which float32 can't hold"),
    ("0.bias", np.array(["1", "2"]), "<U1, which float32 can't hold"),
    ("0.bias", np.array([None, 1.0]), "object, which float32 can't hold"),
    ("0.bias", np.array([1, 2], "M8[s]"), "which float32 can't hold"),
    ("0.bias", np.array([1, 1e300]), r"can't hold, such as 1e\+300"),
    ("0.bias", None, "is a NoneType, not an array"),
    ("0.bias", [1.0, 2.0], "is a list, not an array"),
    ("0.bias", 1.0, "is a float, not an array"),
    ("1.num_batches_tracked", np.array(1.5), "int64 can't hold, such as 1.5"),
    ("1.num_batches_tracked", np.array(NAN), "int64 can't hold, such as nan"),
    ("1.num_batches_tracked", np.array(2**63, np.uint64), "int64 can't hold"),
    ("1.num_batches_tracked", 3, "is a int, not an array"),
])  # fmt: skip
def test_a_value_that_cannot_be_had_leaves_all_as_it_was(name, value, words):
    """Also the arrays before it, and a graph that was recorded with them."""
    module, given = state(**{name: value})
    before = module.state_dict()
    y = module.eval()(Tensor(np.ones((1, 2), np.float32)))
    with pytest.raises(ValueError, match=f"{name} .*{words}"):
        module.load_state_dict(given)
    for key, array in module.state_dict().items():
        np.testing.assert_array_equal(array, before[key])
    y.backward(np.ones((1, 2), np.float32))


def test_a_tensor_that_numpy_cannot_have_is_named(torch):
    module, given = state(**{"0.bias": torch.ones(2, dtype=torch.bfloat16)})
    with pytest.raises(ValueError, match="0.bias is no array for NumPy"):
        module.load_state_dict(given)


@pytest.mark.parametrize("given", [None, [1], "weights.safetensors", iter(())])
def test_what_is_no_dictionary_is_named(given):
    with pytest.raises(TypeError, match="give a dictionary of arrays by name"):
        nn.Linear(2, 2).load_state_dict(given)


def test_values_that_fit_are_converted():
    module, given = state()
    given["0.weight"] = np.asfortranarray([[1, 2], [3, 4]]).astype(">i2")
    given["0.bias"] = np.array([np.inf, np.nan])
    given["1.num_batches_tracked"] = np.array(7.0)
    module.load_state_dict(given)
    np.testing.assert_array_equal(module[0].weight.data, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(module[0].bias.data, [np.inf, np.nan])
    assert module[1].num_batches_tracked.item() == 7
    assert all(p._array.flags.carray and p.dtype == np.float32 for p in module.parameters())


def test_double_converts_all_or_nothing(monkeypatch):
    """For want of memory, say, at the second of two arrays."""
    module = nn.Linear(2, 2)

    class Full(np.ndarray):
        def astype(self, *_):
            raise MemoryError

    module.bias._array = module.bias._array.view(Full)
    with pytest.raises(MemoryError):
        module.double()
    assert module.weight.dtype == module.bias.dtype == np.float32


def test_a_parameter_stays_one():
    """Whatever replaced it would silently no longer be trained, or saved."""
    layer, norm = nn.Linear(2, 1), nn.BatchNorm1d(2)
    for value in (Tensor([[1.0, 2.0]]), np.ones((1, 2)), "w"):
        with pytest.raises(TypeError, match="weight is a Parameter.*copy_"):
            layer.weight = value
    with pytest.raises(TypeError, match="running_var is a Tensor"):
        norm.running_var = np.ones(2)
    layer.weight = nn.Parameter([[1.0, 2.0]])
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


def test_a_state_is_not_written_in_part_where_a_buffer_can_not_be_written():
    class Model(nn.Module):
        def __init__(self):
            self.w = nn.Parameter([1.0])
            self.b = Tensor(1.0).broadcast_to((3,))

    model = Model()
    with pytest.raises(RuntimeError, match="load_state_dict: b"):
        model.load_state_dict({name: 9 + 0 * array for name, array in model.state_dict().items()})
    assert model.w.item() == 1


def test_layers_take_lists():
    for layer in (nn.Linear(2, 3), nn.BatchNorm1d(2), nn.Flatten(), nn.Dropout(0.5)):
        assert layer([[1.0, 2.0], [3.0, 4.0]]).shape[0] == 2
