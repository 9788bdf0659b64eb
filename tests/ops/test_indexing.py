"""Indices: lists, arrays and tensors, empty ones too, and what they may not do later."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor


@pytest.mark.parametrize("index", [[], ([],), (slice(None), []), ([], []), (0, [])])
def test_an_empty_list_is_an_index(index):
    x = Tensor(np.ones((3, 2)), requires_grad=True)
    expected = np.ones((3, 2))[tuple(np.array(i, int) if i == [] else i for i in index)
                               if isinstance(index, tuple) else np.array([], int)]  # fmt: skip
    y = x[index]
    assert y.shape == expected.shape
    y.sum().backward()
    assert (x.grad.numpy() == 0).all()
    assert mg.scatter_add(y.detach(), (3, 2), index).numpy().sum() == 0


@pytest.mark.parametrize("index", [((0, 0),), ([0, 0],), (np.array([0, 0]),), (range(1),)])
def test_a_sequence_in_an_index_is_an_array(index):
    x = Tensor([1.0, 2.0], requires_grad=True)
    x[index].sum().backward()
    counts = np.zeros(2)
    np.add.at(counts, (np.array(index[0]),), 1)
    assert x.grad.numpy().tolist() == counts.tolist()


def test_an_index_array_that_changes_later_does_not_change_the_gradient():
    index = np.array([0, 1])
    x = Tensor(np.zeros(3), requires_grad=True)
    y = x[index]
    index[:] = 2
    y.sum().backward()
    assert x.grad.numpy().tolist() == [1, 1, 0]


def test_an_index_that_is_a_tensor_is_an_operand_whose_writes_are_counted():
    x, index = Tensor([1.0, 2.0], requires_grad=True), Tensor([0, 0])
    y = x[index].sum()
    index.copy_([1, 1])
    with pytest.raises(RuntimeError, match="_getitem: operand 1.*was written"):
        y.backward()
    with pytest.raises(TypeError, match="the dtype is <U1"):
        x["a"]
