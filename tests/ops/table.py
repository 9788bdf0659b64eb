"""THE table of operations: for each, inputs that Hypothesis draws, and PyTorch's counterpart.

A case is a strategy that yields (arrays, ours, theirs): float64 arrays, away from the operation's
kinks and singular points, and the function of them in minigrad and in PyTorch. What must hold of an
operation is in test_operations.py. The table's names must equal the registry's.
"""

import math
from unittest.mock import MagicMock

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad.core.backward import ones_like
from minigrad.ops.arithmetic import _chain
from minigrad.ops.choices import _clip
from minigrad.ops.losses import _labels
from minigrad.ops.normalization import _batch_norm
from minigrad.ops.shapes import _concatenate, _getitem, _scatter_add, _split

try:
    import torch
    import torch.nn.functional as F
except ImportError:  # then the counterparts are never called; derivatives are checked all the same
    torch = F = MagicMock()

CASES = {}
VALUES = {}  # of operations without a derivative: their values are compared with PyTorch's
# Tested by what they do: draws in test_random.py, writes in test_tensor.py and test_optim.py.
EFFECTS = {"rand", "randn", "bernoulli", "copy_", "_setitem_", "add_one_", "average_", "sgd_"}
EFFECTS |= {"adam_"}


def case(name, table=CASES):
    def register(function):
        table[name] = st.composite(function)()
        return function

    return register


def shapes(min_dims=0, max_dims=3):
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=1, max_side=3)


def values(shape, low, high, unique=False):
    """Arrays of grid points between low and high. The grid is off centre: from −a to a, nothing is
    nearer to 0 than a / 128."""
    points = st.integers(0, 24).map(lambda k: low + (high - low) * (2 * k + 1.3) / 51)
    return hnp.arrays(np.float64, shape, elements=points, unique=unique)


def unary(name, theirs, low=-2.0, high=2.0, **static):
    @case(name)
    def draw_case(draw):
        x = draw(values(draw(shapes()), low, high))
        return [x], lambda x: getattr(mg, name)(x, **static), theirs


unary("negative", torch.neg)
unary("exp", torch.exp)
unary("expm1", torch.expm1)
unary("log", torch.log, 0.2, 4)
unary("log1p", torch.log1p, -0.8, 3)
unary("sqrt", torch.sqrt, 0.2, 4)
unary("sigmoid", torch.sigmoid, -5, 5)
unary("softplus", F.softplus, -5, 5)
unary("logsigmoid", F.logsigmoid, -5, 5)
unary("tanh", torch.tanh)
unary("abs", torch.abs)
unary("relu", torch.relu)
unary("leaky_relu", lambda x: F.leaky_relu(x, 0.3), negative_slope=0.3)
unary("elu", lambda x: F.elu(x, 1.5), alpha=1.5)
unary("clip", lambda x: torch.clip(x, -0.52, 0.97), min=-0.52, max=0.97)


def binary(name, theirs, a=(-2.0, 2.0), b=(-2.0, 2.0)):
    @case(name)
    def draw_case(draw):
        drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
        left, right = (tuple(n or 1 for n in shape) for shape in drawn.input_shapes)
        ours = _chain if name == "_chain" else getattr(mg, name)
        return [draw(values(left, *a)), draw(values(right, *b))], ours, theirs


binary("add", torch.add)
binary("subtract", torch.sub)
binary("multiply", torch.mul)
binary("divide", torch.div, b=(0.3, 3))
binary("itakura_saito", lambda q, p: q / p - 1 - torch.log(q / p), a=(0.2, 4), b=(0.2, 4))
binary("maximum", torch.maximum, b=(-1.97, 2.03))  # a grid of its own: no ties
binary("minimum", torch.minimum, b=(-1.97, 2.03))


binary("_chain", torch.mul)


@case("power")
def _(draw):
    """Exponents 0, 1 and 2 are where formulas for the slopes go wrong."""
    shape = draw(shapes())
    whole = hnp.arrays(np.float64, shape, elements=st.integers(0, 2))
    exponent = draw(values(shape, -2, 3) | whole)
    return [draw(values(shape, 0.3, 3)), exponent], mg.power, torch.pow


@case("elu_pull")
def _(draw):
    shape = draw(shapes())
    g, y = draw(values(shape, -2, 2)), draw(values(shape, -1.4, 2))
    return (
        [g, y],
        lambda g, y: mg.elu_pull(g, y, alpha=1.5),
        lambda g, y: g * torch.where(y > 0, torch.ones_like(y), y + 1.5),
    )


@case("leaky_relu_pull")
def _(draw):
    shape = draw(shapes())
    g, a = draw(values(shape, -2, 2)), draw(values(shape, -2, 2))
    slope = draw(st.sampled_from([0.3, 0.0]))
    return (  # no gradient goes to a
        [g],
        lambda g: mg.leaky_relu_pull(g, a, negative_slope=slope),
        lambda g: torch.where(torch.from_numpy(a) > 0, g, slope * g),
    )


@case("to")
def _(draw):
    x = draw(values(draw(shapes()), -2, 2))
    return [x], lambda x: mg.to(x, dtype=x.dtype), lambda x: x.clone()


def _chosen(draw):
    drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3))
    a, b, c = (tuple(n or 1 for n in shape) for shape in drawn.input_shapes)
    condition = draw(hnp.arrays(bool, c))
    theirs = lambda a, b: torch.where(torch.from_numpy(condition), a, b)  # noqa: E731
    return [draw(values(a, -2, 2)), draw(values(b, -2, 2))], condition, theirs


@case("where")
def _(draw):
    arrays, condition, theirs = _chosen(draw)
    return arrays, lambda a, b: mg.where(condition, a, b), theirs


@case("_clip")
def _(draw):
    x = draw(values(draw(shapes()), -2, 2))
    return (  # no gradient goes to the limits
        [x],
        lambda x: _clip(x, -0.52, 0.97),
        lambda x: torch.clip(x, -0.52, 0.97),
    )


def relation(name):
    @case(name, VALUES)
    def draw_case(draw):
        drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
        left, right = (tuple(n or 1 for n in shape) for shape in drawn.input_shapes)
        few = hnp.arrays(np.float64, left, elements=st.integers(0, 2))
        return [draw(few), draw(values(right, 0, 2))], getattr(mg, name), getattr(torch, name)


for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    relation(_name)


@case("sign", VALUES)
def _(draw):
    x = draw(hnp.arrays(np.float64, draw(shapes()), elements=st.integers(-2, 2)))
    return [x], mg.sign, torch.sign


@case("zeros_like", VALUES)
def _(draw):
    return [draw(values(draw(shapes()), -2, 2))], mg.zeros_like, torch.zeros_like


@case("ones_like", VALUES)
def _(draw):
    return [draw(values(draw(shapes()), -2, 2))], ones_like, torch.ones_like


@case("argmax", VALUES)
def _(draw):
    x = draw(values(draw(shapes(min_dims=1)), -2, 2))
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    return [x], lambda x: mg.argmax(x, axis), lambda x: torch.argmax(x, axis)


@case("_labels", VALUES)
def _(draw):
    labels = np.array(draw(st.lists(st.integers(0, 3), max_size=4)), int)
    return [labels], lambda x: _labels(x, 4), lambda x: x


# ---- reductions


def axes(ndim):
    if not ndim:
        return st.none()
    one = st.integers(-ndim, ndim - 1)
    several = st.lists(st.integers(0, ndim - 1), min_size=1, max_size=ndim, unique=True)
    return st.none() | one | several.map(tuple)


def all_axes(axis, x):
    return tuple(range(x.ndim)) if axis is None else axis


def reduction(name, theirs, unique=False):
    @case(name)
    def draw_case(draw):
        x = draw(values(draw(shapes(max_dims=2 if unique else 3)), -2, 2, unique))
        axis, keepdims = draw(axes(x.ndim)), draw(st.booleans())
        return (
            [x],
            lambda x: getattr(mg, name)(x, axis=axis, keepdims=keepdims),
            lambda x: theirs(x, all_axes(axis, x), keepdims) if x.ndim else theirs(x, (), keepdims),
        )


reduction("sum", torch.sum)
reduction("mean", torch.mean)
reduction("amax", torch.amax, unique=True)


@case("max")
def _(draw):
    x = draw(values(draw(shapes(max_dims=2)), -2, 2, unique=True))
    axis = draw(st.none() | st.integers(-x.ndim, x.ndim - 1)) if x.ndim else None
    if axis is None:
        return [x], mg.max, torch.max
    return [x], lambda x: mg.max(x, axis).values, lambda x: torch.max(x, axis).values


reduction("logsumexp", torch.logsumexp)


@case("log_softmax")
def _(draw):
    x = draw(values(draw(shapes(min_dims=1)), -3, 3))
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    return [x], lambda x: mg.log_softmax(x, axis=axis), lambda x: F.log_softmax(x, axis)


@case("log_bernoulli")
def _(draw):
    shape = draw(shapes(min_dims=1))
    return (
        [draw(values(shape, 0, 1)), draw(values(shape, -5, 5))],
        mg.log_bernoulli,
        lambda x, t: (x * F.logsigmoid(t) + (1 - x) * F.logsigmoid(-t)).sum(-1),
    )


# ---- shapes


@case("reshape")
def _(draw):
    x = draw(values(draw(shapes()), -2, 2))
    shape = draw(st.permutations([*x.shape, 1])) if draw(st.booleans()) else [-1]
    return [x], lambda x: mg.reshape(x, shape=shape), lambda x: x.reshape(shape)


@case("transpose")
def _(draw):
    x = draw(values(draw(shapes(min_dims=1)), -2, 2))
    dims = [draw(st.integers(-x.ndim, x.ndim - 1)) for _ in range(2)]
    return [x], lambda x: mg.transpose(x, *dims), lambda x: torch.transpose(x, *dims)


@case("permute")
def _(draw):
    x = draw(values(draw(shapes()), -2, 2))
    order = draw(st.permutations(range(x.ndim)))
    order = [i - x.ndim if draw(st.booleans()) else i for i in order]
    return [x], lambda x: mg.permute(x, dims=order), lambda x: x.permute(order)


@case("broadcast_to")
def _(draw):
    x = draw(values(draw(shapes(max_dims=2)), -2, 2))
    stretched = [draw(st.integers(1, 3)) if n == 1 else n for n in x.shape]
    shape = (*draw(shapes(max_dims=1)), *stretched)
    return [x], lambda x: mg.broadcast_to(x, shape=shape), lambda x: x.broadcast_to(shape)


def indices(shape):
    """Basic and advanced indices, with repeats, None and …; none with a negative step (PyTorch
    has none), which test_engine covers."""
    basic = hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True).filter(
        lambda index: all(
            not isinstance(i, slice) or i.step is None or i.step > 0
            for i in (index if isinstance(index, tuple) else (index,))
        )
    )
    rows = st.lists(st.integers(-shape[0], shape[0] - 1), min_size=1, max_size=4)
    return basic | rows.map(np.array) | hnp.arrays(bool, shape)


def as_torch(index):
    parts = index if isinstance(index, tuple) else (index,)
    return tuple(torch.from_numpy(i) if isinstance(i, np.ndarray) else i for i in parts)


@case("getitem")
def _(draw):
    x = draw(values(draw(shapes(min_dims=1)), -2, 2))
    index = draw(indices(x.shape).filter(lambda index: x[index].size))
    return [x], lambda x: mg.getitem(x, index=index), lambda x: x[as_torch(index)]


@case("_getitem")
def _(draw):
    x = draw(values(draw(shapes(min_dims=1)), -2, 2))
    rows = np.array(draw(st.lists(st.integers(0, len(x) - 1), min_size=1, max_size=4)))
    return (
        [x],
        lambda x: _getitem(x, rows, index=("array", None)),
        lambda x: x[torch.from_numpy(rows), None],
    )


@case("_scatter_add")
def _(draw):
    n = draw(st.integers(1, 4))
    rows = np.array(draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4)))
    return (
        [draw(values((len(rows), 2), -2, 2))],
        lambda x: _scatter_add(x, rows, shape=(n, 2), index=("array",)),
        lambda x: torch.zeros(n, 2, dtype=x.dtype).index_add(0, torch.from_numpy(rows), x),
    )


@case("scatter_add")
def _(draw):
    shape = draw(shapes(min_dims=1))
    index = draw(indices(shape).filter(lambda index: np.zeros(shape)[index].size))
    x = draw(values(np.zeros(shape)[index].shape, -2, 2))

    def theirs(x):  # the linear map whose matrix is indexing's, transposed
        numbers = np.arange(np.prod(shape)).reshape(shape)[index].ravel()
        flat = torch.zeros(int(np.prod(shape)), dtype=x.dtype)
        return flat.index_add(0, torch.from_numpy(numbers), x.reshape(-1)).reshape(shape)

    return [x], lambda x: mg.scatter_add(x, shape=shape, index=index), theirs


def _joined(draw):
    shape = draw(shapes(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    parts = []
    for size in sizes:
        part = list(shape)
        part[axis] = size
        parts.append(draw(values(tuple(part), -2, 2)))
    return parts, axis


@case("concatenate")
def _(draw):
    arrays, axis = _joined(draw)
    return arrays, lambda *xs: mg.concatenate(xs, axis), lambda *xs: torch.cat(xs, axis)


@case("_concatenate")
def _(draw):
    arrays, axis = _joined(draw)
    return arrays, lambda *xs: _concatenate(*xs, axis=axis), lambda *xs: torch.cat(xs, axis)


@case("_split")
def _(draw):
    shape = draw(shapes(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    cuts = draw(st.lists(st.integers(0, shape[axis]), max_size=2).map(sorted))
    sizes = np.diff([0, *cuts, shape[axis]]).tolist()
    x = draw(values(shape, -2, 2))
    return [x], lambda x: _split(x, sizes, axis), lambda x: torch.split(x, sizes, axis)


@case("stack")
def _(draw):
    shape = draw(shapes(max_dims=2))
    arrays = [draw(values(shape, -2, 2)) for _ in range(draw(st.integers(1, 3)))]
    axis = draw(st.integers(-len(shape) - 1, len(shape)))
    return arrays, lambda *xs: mg.stack(xs, axis), lambda *xs: torch.stack(xs, axis)


@case("split")
def _(draw):
    shape = draw(shapes(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    cuts = draw(st.lists(st.integers(0, shape[axis]), max_size=2).map(sorted))
    sizes = np.diff([0, *cuts, shape[axis]]).tolist() if cuts else draw(st.integers(1, 4))
    return (
        [draw(values(shape, -2, 2))],
        lambda x: mg.split(x, sizes, axis),
        lambda x: torch.split(x, sizes, axis),
    )


# ---- products


@case("bmm")
def _(draw):
    drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=1, max_side=3))
    left, right = (tuple(n or 1 for n in shape) for shape in drawn.input_shapes)
    n, k, m = (draw(st.integers(1, 3)) for _ in range(3))
    return (
        [draw(values((*left, n, k), -2, 2)), draw(values((*right, k, m), -2, 2))],
        mg.bmm,
        (torch.matmul),
    )


@case("matmul")
def _(draw):
    drawn = draw(hnp.mutually_broadcastable_shapes(signature="(n?,k),(k,m?)->(n?,m?)", max_side=3))
    left, right = (tuple(n or 1 for n in shape) for shape in drawn.input_shapes)
    return [draw(values(left, -2, 2)), draw(values(right, -2, 2))], mg.matmul, torch.matmul


@case("linear_weight")
def _(draw):
    n, k, m = (draw(st.integers(1, 3)) for _ in range(3))
    arrays = [draw(values(shape, -2, 2)) for shape in ((n, k), (n, m))]
    return arrays, mg.linear_weight, lambda x, g: g.T @ x


@case("linear")
def _(draw):
    n, k, m = (draw(st.integers(1, 3)) for _ in range(3))
    arrays = [draw(values(shape, -2, 2)) for shape in ((n, k), (m, k), (m,))]
    return arrays, mg.linear, F.linear


# ---- images


@st.composite
def windows(draw, high=3):
    """A kernel, a stride and a padding for each axis, and image sizes that they fit into."""
    pairs = [draw(st.tuples(st.integers(low, 3), st.integers(low, 3))) for low in (1, 1, 0)]
    kernel, stride, padding = pairs
    least = [max(1, k - 2 * p) for k, p in zip(kernel, padding, strict=True)]
    size = tuple(n + draw(st.integers(0, high)) for n in least)
    return size, kernel, {"stride": stride, "padding": padding}


def places(size, kernel, how):
    return tuple(
        (n + 2 * p - k) // s + 1
        for n, k, s, p in zip(size, kernel, how["stride"], how["padding"], strict=True)
    )


def counts(draw):
    """Images, channels in, channels out."""
    return (draw(st.integers(1, n)) for n in (2, 2, 3))


@case("convolution")
def _(draw):
    (size, kernel, how), (n, c, f) = draw(windows()), counts(draw)
    return (
        [draw(values(shape, -2, 2)) for shape in ((n, c, *size), (f, c, *kernel), (f,))],
        lambda *arrays: mg.convolution(*arrays, **how),
        lambda *arrays: F.conv2d(*arrays, **how),
    )


@case("convolution_transpose")
def _(draw):
    (size, kernel, how), (n, c, f) = draw(windows()), counts(draw)
    w = draw(values((f, c, *kernel), -2, 2))
    return (
        [draw(values((n, f, *places(size, kernel, how)), -2, 2)), w],
        lambda x, w: mg.convolution_transpose(x, w, size=size, **how),
        lambda x, w: torch.nn.grad.conv2d_input((n, c, *size), w, x, **how),
    )


@case("convolution_weight")
def _(draw):
    (size, kernel, how), (n, c, f) = draw(windows()), counts(draw)
    x = draw(values((n, c, *size), -2, 2))
    return (
        [x, draw(values((n, f, *places(size, kernel, how)), -2, 2))],
        lambda x, g: mg.convolution_weight(x, g, kernel=kernel, **how),
        lambda x, g: torch.nn.grad.conv2d_weight(x, (f, c, *kernel), g, **how),
    )


@case("conv2d")
def _(draw):
    (size, kernel, how), (n, c, f) = draw(windows()), counts(draw)
    arrays = [draw(values(shape, -2, 2)) for shape in ((n, c, *size), (f, c, *kernel), (f,))]
    arrays = arrays[: draw(st.integers(2, 3))]  # with a bias or without
    return arrays, lambda *xs: mg.conv2d(*xs, **how), lambda *xs: F.conv2d(*xs, **how)


@case("conv_transpose2d")
def _(draw):
    (size, kernel, how), (n, c, f) = draw(windows()), counts(draw)
    small = places(size, kernel, how)
    extra = tuple(
        n - ((m - 1) * s - 2 * p + k)
        for n, m, k, s, p in zip(size, small, kernel, how["stride"], how["padding"], strict=True)
    )
    arrays = [draw(values(shape, -2, 2)) for shape in ((n, f, *small), (f, c, *kernel), (c,))]
    arrays, how = arrays[: draw(st.integers(2, 3))], how | {"output_padding": extra}
    return (
        arrays,
        lambda *xs: mg.conv_transpose2d(*xs, **how),
        lambda *xs: F.conv_transpose2d(*xs, **how),
    )


def pooling(name):
    @case(name)
    def draw_case(draw):
        kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
        how = {"kernel_size": kernel, "padding": padding}
        how["stride"] = draw(st.none() | st.tuples(st.integers(1, 3), st.integers(1, 3)))
        size = [draw(st.integers(k, k + 2)) for k in kernel]
        n, c = (draw(st.integers(1, 2)) for _ in range(2))
        x, theirs = distinct(draw, (n, c, *size)), getattr(F, name)
        return [x], lambda x: getattr(mg, name)(x, **how), lambda x: theirs(x, **how)


@case("argmax_windows", VALUES)
def _(draw):
    size, kernel, how = draw(windows())
    how["padding"] = tuple(min(p, k // 2) for p, k in zip(how["padding"], kernel, strict=True))
    size = tuple(max(n, k) for n, k in zip(size, kernel, strict=True))
    x = draw(values((2, 2, *size), -2, 2))
    return (
        [x],
        lambda x: mg.argmax_windows(x, kernel, **how),
        lambda x: F.max_pool2d(x, kernel, **how, return_indices=True)[1],
    )


pooling("avg_pool2d")
pooling("max_pool2d")


@case("pixel_shuffle")
def _(draw):
    n, c, r, h, w = (draw(st.integers(1, 3)) for _ in range(5))
    x = draw(values((n, c * r * r, h, w), -2, 2))
    return [x], lambda x: mg.pixel_shuffle(x, upscale_factor=r), lambda x: F.pixel_shuffle(x, r)


@case("pixel_unshuffle")
def _(draw):
    n, c, r, h, w = (draw(st.integers(1, 3)) for _ in range(5))
    x = draw(values((n, c, h * r, w * r), -2, 2))
    ours = lambda x: mg.pixel_unshuffle(x, downscale_factor=r)  # noqa: E731
    return [x], ours, lambda x: F.pixel_unshuffle(x, r)


def distinct(draw, shape):
    """Numbers between −1 and 1, no two of them alike."""
    number = math.prod(shape)
    order = np.array(draw(st.permutations(range(number)))).reshape(shape)
    return (2 * order - number + 0.3) / number


def channelwise(draw):
    """(N, C, …) with three numbers or more in a channel, and distinct: x̂ is singular where all
    agree, and of two numbers it is ±1, whatever they are."""
    shapes = hnp.array_shapes(min_dims=2, max_dims=4, max_side=3)
    return distinct(draw, draw(shapes.filter(lambda shape: math.prod(shape) > 2 * shape[1])))


def batch_normalised(name, ours):
    @case(name)
    def _(draw):
        x, eps = channelwise(draw), draw(st.sampled_from([1e-5, 0.1]))
        arrays = [x, draw(values(x.shape[1:2], -2, 2)), draw(values(x.shape[1:2], -2, 2))]
        return (
            arrays,
            lambda x, w, b: ours(x, w, b, eps),
            lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True, eps=eps),
        )


batch_normalised("_batch_norm", lambda x, w, b, eps: _batch_norm(x, w, b, eps)[0])
batch_normalised(
    "batch_norm", lambda x, w, b, eps: mg.batch_norm(x, weight=w, bias=b, training=True, eps=eps)
)


@case("moments", VALUES)
def _(draw):
    return (
        [channelwise(draw)],
        mg.moments,
        lambda x: (
            x.mean([0, *range(2, x.ndim)]),
            x.var([0, *range(2, x.ndim)], correction=0),
        ),
    )


@case("batch_norm_pull")
def _(draw):
    x, eps = channelwise(draw), draw(st.sampled_from([0.01, 0.1]))

    def theirs(g, x):
        axes = [0, *range(2, x.ndim)]
        centred = x - x.mean(axes, keepdim=True)
        r = (centred.square().mean(axes, keepdim=True) + eps).rsqrt()
        along = (g * r * centred).mean(axes, keepdim=True)
        return r * (g - g.mean(axes, keepdim=True) - r * centred * along)

    g = distinct(draw, x.shape)  # of a constant g it is 0, and its differences are rounding
    return [g, x], lambda g, x: mg.batch_norm_pull(g, x, *mg.moments(x), eps), theirs


@case("normalized_sum")
def _(draw):
    x, eps = channelwise(draw), draw(st.sampled_from([0.01, 0.1]))

    def theirs(g, x):
        y = F.batch_norm(x, None, None, training=True, eps=eps)
        return (g * y).sum([0, *range(2, x.ndim)])

    g = distinct(draw, x.shape)  # of a constant g, too, it is 0
    return [g, x], lambda g, x: mg.normalized_sum(g, x, *mg.moments(x), eps), theirs


@case("cross_entropy")
def _(draw):
    n, c = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    labels = np.array(draw(st.lists(st.integers(0, c - 1), min_size=n, max_size=n)))
    return (
        [draw(values((n, c), -3, 3))],
        lambda x: mg.cross_entropy(x, labels),
        lambda x: F.cross_entropy(x, torch.from_numpy(labels)),
    )
