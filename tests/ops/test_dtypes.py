"""Whole numbers, truths and numbers without a dtype: PyTorch's results, or a TypeError."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, distributions, nn, random
from tests.ops.pytorch import F, torch

compared = pytest.mark.usefixtures("torch")
WHOLE = pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
VALUES = [0, 1, 5, 100]


def check(ours, theirs, arrays, tolerance=4e-7):
    """Value and dtype are PyTorch's, which gets the same arrays."""
    y = ours(*(Tensor(x) for x in arrays))
    expected = theirs(*(torch.from_numpy(np.array(x)) for x in arrays))
    assert y.dtype.name == str(expected.dtype).removeprefix("torch.")
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=tolerance)


# ---- results between the whole numbers


def as_float(f):
    """PyTorch has no kernel for whole numbers there: what it would give for the same in float32."""
    return lambda x, *others: f(x.float(), *others)


BETWEEN = {
    "exp": (mg.exp, torch.exp),
    "expm1": (mg.expm1, torch.expm1),
    "log": (mg.log, torch.log),
    "log1p": (mg.log1p, torch.log1p),
    "sqrt": (mg.sqrt, torch.sqrt),
    "sigmoid": (mg.sigmoid, torch.sigmoid),
    "tanh": (mg.tanh, torch.tanh),
    "logsumexp": (lambda x: mg.logsumexp(x, 0), lambda x: torch.logsumexp(x, 0)),
    "divide": (lambda x: x / 3, lambda x: x / 3),
    "reciprocal": (lambda x: 1 / (x + 1), lambda x: 1 / (x + 1)),
    "half power": (lambda x: x**0.5, lambda x: x**0.5),
    "times a fraction": (lambda x: x * 2.5, lambda x: x * 2.5),
    "minus a fraction": (lambda x: x - np.float64(2.5), lambda x: x - np.float64(2.5)),
    "clip at fractions": (lambda x: x.clip(0.5, 3), lambda x: x.clip(0.5, 3)),
    "where": (lambda x: mg.where(x > 1, x, 0.5), lambda x: torch.where(x > 1, x, 0.5)),
    "maximum": (
        lambda x: mg.maximum(x, Tensor(2.5)),
        lambda x: torch.maximum(x, torch.tensor(2.5)),
    ),
    "concatenate": (
        lambda x: mg.concatenate([x, Tensor([1.5])]),
        lambda x: torch.cat([x, torch.tensor([1.5])]),
    ),
    "softplus": (mg.softplus, as_float(F.softplus)),
    "logsigmoid": (mg.logsigmoid, as_float(F.logsigmoid)),
    "log_softmax": (lambda x: mg.log_softmax(x, 0), as_float(lambda x: F.log_softmax(x, 0))),
    "elu": (lambda x: mg.elu(x - 1), lambda x: F.elu((x - 1).float())),
    "leaky_relu": (
        lambda x: mg.leaky_relu(x - 1, 0.3),
        lambda x: F.leaky_relu((x - 1).float(), 0.3),
    ),
    "mean": (mg.mean, as_float(torch.mean)),
    "itakura_saito": (
        lambda x: mg.itakura_saito(x + 1, 2),
        lambda x: (x + 1).float() / 2 - 1 - torch.log((x + 1).float() / 2),
    ),
}  # fmt: skip


@compared
@WHOLE
@pytest.mark.parametrize("name", BETWEEN)
def test_results_between_the_whole_numbers_are_float32(name, dtype):
    ours, theirs = BETWEEN[name]
    check(ours, theirs, [np.array(VALUES, dtype)], 2e-6)


@compared
@pytest.mark.parametrize("name", ["exp", "sigmoid", "log", "sqrt", "tanh", "divide", "where"])
def test_so_are_those_of_truths(name):
    check(*BETWEEN[name], [np.array([True, False])])


@compared
@WHOLE
def test_images_of_whole_numbers(dtype):
    x = np.arange(32, dtype=dtype).reshape(1, 2, 4, 4) * 3
    as_tensor = torch.from_numpy(x).float()
    y = mg.avg_pool2d(Tensor(x), 2)
    np.testing.assert_allclose(y.numpy(), F.avg_pool2d(as_tensor, 2).numpy(), rtol=1e-6)
    for padding in (0, 1):
        y = mg.max_pool2d(Tensor(x), 3, 1, padding)
        assert y.dtype == x.dtype
        assert y.numpy().tolist() == F.max_pool2d(as_tensor, 3, 1, padding).numpy().tolist()
    w = np.array([[[[1, 2], [3, 4]]] * 2], dtype)
    y = mg.conv2d(Tensor(x), Tensor(w))
    np.testing.assert_allclose(y.numpy(), F.conv2d(as_tensor, torch.tensor(w).float()), rtol=1e-6)
    y = mg.conv_transpose2d(Tensor(x[:, :1]), Tensor(w[:, :1]), stride=2)
    expected = F.conv_transpose2d(as_tensor[:, :1], torch.tensor(w[:, :1]).float(), stride=2)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)
    y = mg.batch_norm(Tensor(x), training=True)
    np.testing.assert_allclose(y.numpy(), F.batch_norm(as_tensor, None, None, training=True), 1e-4)
    assert mg.pixel_unshuffle(Tensor(x), 2).dtype == x.dtype


def test_max_pooling_of_the_least_whole_numbers_beside_padding():
    x = np.full((1, 1, 2, 2), np.iinfo(np.int8).min, np.int8)
    assert (mg.max_pool2d(Tensor(x), 2, 1, 1) == -128).numpy().all()
    x = np.array([[[[False, True], [False, False]]]])
    assert mg.max_pool2d(Tensor(x), 2).numpy().tolist() == [[[[True]]]]


@WHOLE
def test_layers_take_whole_numbers(dtype):
    x = np.array([[1, 2, 3], [200 % 128, 5, 6]], dtype)
    random.seed(0)
    for layer in (nn.Linear(3, 2), nn.BatchNorm1d(3), nn.ELU(), nn.Softplus(), nn.Sigmoid()):
        y, expected = layer(Tensor(x)), layer(Tensor(x.astype(np.float32)))
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y.numpy(), expected.numpy())
    random.seed(0)
    dropped = nn.Dropout(0.5)(Tensor(np.ones((50, 50), dtype)))
    assert dropped.dtype == np.float32 and set(dropped.numpy().flat) == {0, 2}
    assert 0.8 < dropped.mean().item() < 1.2


@WHOLE
def test_the_distributions_of_whole_numbers(dtype):
    """Unsigned 0 − 2 is a large number before it is converted."""
    whole = [np.array(x, dtype) for x in ([0, 2], [1, 2], [2, 1], [1, 3])]
    real = [x.astype(np.float32) for x in whole]
    for name in ("kl_normal", "log_normal"):
        f, count = getattr(distributions, name), 4 if name == "kl_normal" else 3
        y = f(*map(Tensor, whole[:count]))
        assert y.dtype == np.float32
        assert y.numpy() == f(*map(Tensor, real[:count])).numpy()
    y = distributions.kl_normal(Tensor(whole[0]), Tensor(whole[1]), 0, 1)
    np.testing.assert_allclose(y.numpy(), 0.5 * (1 - 1 - 0 + 0 + 2 - 1 - np.log(2) + 4), rtol=1e-6)
    random.seed(0)
    assert distributions.sample_gaussian(*map(Tensor, whole[:2])).dtype == np.float32
    m, v = distributions.gaussian_parameters(Tensor(whole[0]))
    assert m.dtype == v.dtype == np.float32 and abs(v.item() - np.log1p(np.exp(2))) < 1e-5
    assert abs(distributions.log_mean_exp(Tensor(whole[1]), 0).item() - 1.620115) < 1e-5
    y = distributions.log_bernoulli_with_logits(Tensor(whole[1] - 1), Tensor(whole[0]))
    np.testing.assert_allclose(y.numpy(), -np.log(2) - np.log1p(np.exp(-2)), rtol=1e-6)


# ---- results that are whole numbers again


KEPT = {
    "times 2": lambda x: x * 2,
    "2 times": lambda x: 2 * x,
    "times truth": lambda x: x * True,
    "plus itself": lambda x: x + x,
    "minus itself": lambda x: x - x,
    "squared": lambda x: x**2,
    "power of 2": lambda x: 2 ** (x - x),
    "negative": lambda x: -x,
    "abs": abs,
    "sum": lambda x: x.sum(),
    "max": lambda x: x.max(),
    "max along": lambda x: x.max(0)[0],
    "clip": lambda x: x.clip(1, 3),
    "clip below": lambda x: x.clip(None, 3),
    "product": lambda x: x @ x,
    "reshape": lambda x: x.reshape(2, 2),
    "index": lambda x: x[1],
}


@compared
@WHOLE
@pytest.mark.parametrize("name", KEPT)
def test_results_that_are_whole_numbers_keep_the_dtype(name, dtype):
    check(KEPT[name], KEPT[name], [np.array(VALUES, dtype)])


@compared
@pytest.mark.parametrize("name", ["times 2", "plus itself", "sum", "max", "clip"])
def test_so_do_those_of_truths(name):
    check(KEPT[name], KEPT[name], [np.array([True, False])])


@compared
def test_relu_and_choices_of_whole_numbers():
    x = np.array([-3, 0, 7], np.int32)
    check(mg.relu, torch.relu, [x])
    check(lambda x: mg.where(x > 1, x, 0), lambda x: torch.where(x > 1, x, 0), [x])
    check(mg.maximum, torch.maximum, [x, x[::-1].copy()])
    check(lambda x: mg.stack([x, x]), lambda x: torch.stack([x, x]), [x])


@compared
@pytest.mark.parametrize("other", ["uint8", "int8", "int32", "int64", "bool"])
@pytest.mark.parametrize("one", ["uint8", "int8", "int32", "int64", "bool"])
@pytest.mark.parametrize("shape", [(3,), ()])
def test_whole_numbers_of_two_dtypes_promote_as_pytorchs(one, other, shape):
    """Tensors without axes, and numbers, do not widen one with axes."""
    x, y = np.array([1, 0, 1]).astype(one), np.ones(shape).astype(other)
    check(lambda x, y: x * y, lambda x, y: x * y, [x, y])
    check(lambda x, y: y + x, lambda x, y: y + x, [x, y])


def test_large_whole_numbers_stay_exact():
    x = Tensor([2**24 + 1, 2**53 + 1])
    for y in (x.clip(0), x.clip(0, 2**60), x.amax(), x + 0, mg.maximum(x, 0), x.sum() - 2**24 - 1):
        assert y.numpy().flat[-1] == 2**53 + 1
    assert Tensor(np.int32([2**24 + 1])).clip(0, 2**30).item() == 2**24 + 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Tensor(np.uint8([1])) * 300, r"multiply: 300 is no uint8.*0 to 255.*int64"),
        (lambda: Tensor(np.uint8([1])) * -1, r"-1 is no uint8"),
        (lambda: Tensor(np.uint8([1])) + np.int64(256), r"256 is no uint8"),
        (lambda: Tensor(np.uint8([1])).clip(0, 1000), r"clip: 1000 is no uint8"),
        (lambda: Tensor([2]) ** -1, r"power: whole numbers.*negative.*\.float\(\)"),
        (lambda: Tensor([2]) + Tensor(np.uint64([2])), r"int64 and uint64"),
        (lambda: -Tensor([True]), r"negative.*bool"),
        (lambda: Tensor([True]) - Tensor([True]), r"subtract.*bool"),
        (lambda: Tensor([True, True]) @ Tensor([True, True]), r"matmul.*bool"),
        (lambda: Tensor(300, dtype="uint8"), r"300"),
    ],
)
def test_what_no_whole_number_is_the_result_of(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_an_operation_of_a_users_own_gets_float32():
    @mg.primitive
    def halved_for_test_dtypes(a):
        return a / 2

    halved_for_test_dtypes.pulls = (lambda g, y, a: g / 2,)

    y = halved_for_test_dtypes(Tensor(np.uint8([1, 3])))
    assert y.dtype == np.float32 and y.numpy().tolist() == [0.5, 1.5]


# ---- comparisons


def test_a_number_is_compared_in_the_tensors_dtype():
    """float32 rounds 0.1, and so must the number beside it, or nothing would equal it."""
    x = Tensor([0.1, 0.2])
    for number in (0.1, np.float64(0.1), np.float32(0.1), np.array(0.1)):
        assert (x == number).numpy().tolist() == [True, False]
        assert (x <= number).numpy().tolist() == [True, False]
    assert (Tensor([1, 2]) < 1.5).numpy().tolist() == [True, False]
    assert (Tensor(np.uint8([1, 200])) < 300).numpy().tolist() == [True, True]


def test_functions_that_compare_take_numbers_as_the_operators_do():
    for dtype in (np.float32, np.float64, np.complex64, np.complex128):
        x = Tensor(np.array([0.1, 0.2], dtype))
        assert mg.eq(x, 0.1).numpy().tolist() == [True, False]
        assert mg.ge(0.1, x).numpy().tolist() == [True, False]


def test_a_list_of_what_has_a_dtype_keeps_it():
    assert Tensor([np.float64(0.1)]).dtype == Tensor([[np.float64(0.1)] * 2]).dtype == np.float64
    t = Tensor(np.array([0.1]))
    assert Tensor([t[0], t[0]]).dtype == np.float64
    assert Tensor([0.1]).dtype == Tensor([[0.1], [1]]).dtype == np.float32


def test_a_condition_is_bool():
    with pytest.raises(TypeError, match="where: the condition is float32.*x != 0"):
        mg.where(Tensor([np.nan, 0.0]), 1, 0)
    with pytest.raises(TypeError, match="linear: not for bool"):
        mg.linear(np.ones((1, 2), bool), np.ones((1, 2), bool), np.ones(1, bool))


def test_what_is_no_number_is_unequal_and_not_ordered():
    x = Tensor([1.0, 2.0])
    assert (x == None) is False and (x != None) is True and (x == "x") is False  # noqa: E711
    with pytest.raises(TypeError, match="not supported between"):
        x < None  # noqa: B015
