"""The dtype that tensors, arrays and numbers agree on in an operation."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor


@pytest.mark.parametrize("scalar", [2, 2.0, np.float64(2), np.float32(2), np.int64(2), True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scalars_do_not_change_the_dtype(scalar, dtype):
    x = Tensor(np.ones(3, dtype), requires_grad=True)
    for y in (x + scalar, scalar - x, x * scalar, scalar / x, x**scalar, scalar**x):
        assert y.dtype == dtype
    (scalar * x).mean().backward()
    assert x.grad.dtype == dtype


def test_means_sums_and_seeds_keep_float32():
    x = Tensor(np.ones((3, 4), np.float32), requires_grad=True)
    y = x.mean(axis=0).sum() / 3 + sum(row.sum() for row in x)
    assert y.dtype == np.float32
    y.backward()
    assert x.grad.dtype == np.float32


def test_python_floats_are_float32_and_arrays_keep_theirs():
    assert Tensor(1.5).dtype == Tensor([1.5, 2]).dtype == np.float32
    assert Tensor(np.ones(2)).dtype == Tensor(np.float64(1)).dtype == np.float64
    assert Tensor([1, 2]).dtype == np.int64 and Tensor([True]).dtype == bool
    assert Tensor([1, 2], dtype="float32").dtype == np.float32


def test_two_floating_dtypes_do_not_mix():
    with pytest.raises(TypeError, match=r"add: float32 and float64.*\.to\(dtype\)"):
        Tensor([1.0]) + Tensor(np.ones(1))
    x = Tensor([1.0], requires_grad=True)
    (x.double() + Tensor(np.ones(1))).sum().backward()
    assert x.grad.dtype == np.float32


def test_integers_join_floats_and_arrays_become_constants():
    x = Tensor([1.0, 2.0])
    assert (x * Tensor([1, 2])).dtype == np.float32
    assert (x * np.array([1.0, 2.0])).dtype == np.float32


def test_whole_numbers_in_an_operation_become_float32():
    for y in (Tensor([1, 2]) / 2, Tensor([1, 2]) * 0.5, Tensor([1, 2]).exp(), Tensor([1]).mean()):
        assert y.dtype == np.float32
    assert (Tensor([1, 2]) + 1).dtype == np.int64


def test_arrays_become_constants_of_the_tensors_dtype_in_products_and_stacks_too():
    x = Tensor([[1.0, 2.0]])
    assert (x @ np.ones((2, 2))).dtype == mg.stack([x, np.ones((1, 2))]).dtype == np.float32
    assert x.clip(np.float64(0), None).dtype == np.float32


def test_complex_numbers_beside_real_ones_are_refused():
    with pytest.raises(TypeError, match="complex numbers as float32 would lose"):
        Tensor([1.0]) * np.array([2j])


def test_a_cast_to_whole_numbers_is_refused():
    with pytest.raises(TypeError, match=r"int64.*Tensor\(x, dtype='int64'\)"):
        Tensor([1.5], requires_grad=True).to(np.int64)


def test_the_other_byte_order_is_converted():
    x = Tensor(np.array([1.0, 2.0], ">f4"))
    assert x.dtype == np.float32 and x.dtype.isnative
    np.testing.assert_allclose(x.exp().numpy(), np.exp([1, 2]), rtol=1e-6)
