"""Operations on images: convolution and its gradients, pooling, the shuffling of pixels."""

from hypothesis import strategies as st

import minigrad as mg
from tests.ops.pytorch import F, torch
from tests.ops.table.cases import VALUES, case, distinct, values


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
