"""What operations take: arrays for tensors, names and places of PyTorch's, shapes that fit."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor

# ---- arrays, lists and static arguments


def test_functions_take_arrays_and_lists_where_they_take_tensors():
    image = np.arange(16.0).reshape(1, 1, 4, 4)
    assert mg.max_pool2d(image, 2).numpy().tolist() == [[[[5, 7], [13, 15]]]]
    assert mg.avg_pool2d(image, 2).numpy().tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
    assert mg.conv2d(image, np.ones((1, 1, 4, 4))).item() == 120
    assert mg.conv_transpose2d(image, np.ones((1, 1, 1, 1)), np.ones(1)).shape == (1, 1, 4, 4)
    assert mg.mean([1.0, 2.0]).item() == 1.5 and mg.max([1, 2]).item() == 2
    assert [part.size for part in mg.split([1, 2, 3], 2)] == [2, 1]
    assert mg.transpose([[1, 2]], 0, 1).shape == (2, 1)
    assert mg.logsigmoid([0.0]).item() == mg.log_softmax([[0.0, 0.0]], 1).numpy()[0, 0]
    assert mg.cross_entropy([[0.0, 0.0]], [1]).item() == np.float32(np.log(2))


def test_a_condition_that_changes_later_does_not_change_the_gradient():
    condition = np.array([True, False])
    x = Tensor(np.zeros(2), requires_grad=True)
    y = mg.where(condition, x, 0)
    condition[:] = False
    y.sum().backward()
    assert x.grad.numpy().tolist() == [1, 0]


def test_static_arguments_go_by_position_too():
    x = Tensor([[1.0, 5.0], [7.0, 3.0]])
    image = Tensor(np.arange(16.0).reshape(1, 1, 4, 4))
    kernel = Tensor(np.ones((1, 1, 2, 2)))
    pairs = [
        (mg.sum(x, 1), x.sum(axis=1)), (mg.mean(x, 0, True), x.mean(axis=0, keepdims=True)),
        (mg.clip(x, 2, 4), x.clip(min=2, max=4)), (mg.amax(x, 1), x.amax(axis=1)),
        (mg.elu(-x, 2.0), mg.elu(-x, alpha=2.0)), (mg.logsumexp(x, 0), x.logsumexp(axis=0)),
        (mg.leaky_relu(-x, 0.5), mg.leaky_relu(-x, negative_slope=0.5)),
        (mg.reshape(x, (4,)), x.reshape(4)), (mg.getitem(x, 1), x[1]),
        (mg.broadcast_to(x[0], (3, 2)), x[0].broadcast_to((3, 2))),
        (mg.log_softmax(x, 1), x.log_softmax(axis=1)), (mg.to(x, "float64"), x.double()),
        (mg.conv2d(image, kernel, None, 2, 1), mg.conv2d(image, kernel, stride=2, padding=1)),
        (mg.max_pool2d(image, 2, 1), mg.max_pool2d(image, kernel_size=2, stride=1)),
        (mg.avg_pool2d(image, 2, 1, 1), mg.avg_pool2d(image, kernel_size=2, stride=1, padding=1)),
        (mg.pixel_unshuffle(image, 2), mg.pixel_unshuffle(image, downscale_factor=2)),
    ]  # fmt: skip
    for one, other in pairs:
        assert one.shape == other.shape and (one == other).numpy().all()


def test_a_static_argument_can_have_no_gradient():
    low = Tensor(0.5, requires_grad=True)
    with pytest.raises(TypeError, match="clip.*static argument.*detach"):
        Tensor([1.0]).clip(low, None)
    assert Tensor([0.0, 1.0]).clip(low.detach()).numpy().tolist() == [0.5, 1]


def test_what_must_be_true_or_false_is():
    x = Tensor(np.ones((2, 3, 4)))
    for make in (lambda: Tensor([1.0], np.float64), lambda: Tensor([1.0], "float64"),
                 lambda: setattr(x, "requires_grad", "no")):  # fmt: skip
        with pytest.raises(TypeError, match="requires_grad = .*True or False.*dtype="):
            make()
    for make in (lambda: x.mean(1, 2), lambda: x.sum(1, 2), lambda: x.max(1, 2),
                 lambda: x.amax(1, 2), lambda: x.logsumexp(1, 2)):  # fmt: skip
        with pytest.raises(TypeError, match=r"keepdims = 2.*axis=\(0, 1\)"):
            make()
    with pytest.raises(TypeError, match="to: None"):
        x.to(None)
    with pytest.raises(TypeError, match=r"Tensor\.sum\(\) got an unexpected keyword.*'dim'"):
        x.sum(dim=1)


# ---- names that PyTorch has mean what PyTorch means


def test_transpose_exchanges_two_axes():
    x = Tensor(np.arange(24.0).reshape(2, 3, 4))
    assert x.transpose(0, 1).shape == (3, 2, 4) and x.transpose(-1, 0).shape == (4, 3, 2)
    assert Tensor([[1.0, 2.0]]).transpose(0, 1).numpy().tolist() == [[1], [2]]
    assert x.permute(2, 0, 1).shape == x.permute((2, 0, 1)).shape == (4, 2, 3)
    assert x.T.shape == (4, 3, 2) and x.mT.shape == (2, 4, 3)
    for call in (lambda: x.transpose(), lambda: x.transpose(0, 2, 1), lambda: x.transpose((0, 1))):
        with pytest.raises(TypeError):
            call()


def test_max_along_an_axis_has_indices():
    x = Tensor([[1.0, 5.0, 5.0], [7.0, np.nan, 3.0]])
    values, indices = x.max(1)
    assert x.max(1)[1].numpy().tolist() == indices.numpy().tolist() == [1, 1]
    assert values.numpy()[0] == 5 and np.isnan(values.numpy()[1])
    assert x.max(0, keepdims=True).indices.numpy().tolist() == [[1, 1, 0]]
    assert Tensor([2.0, 9.0]).max().item() == 9
    assert mg.max(Tensor([1.0, 5.0]), Tensor([3.0, 2.0])).numpy().tolist() == [3, 5]
    with pytest.raises(TypeError, match="amax"):
        x.max((0, 1))


def test_split_takes_the_size_of_a_part():
    x = Tensor(np.arange(10.0))
    assert [part.size for part in mg.split(x, 4)] == [4, 4, 2]
    assert [part.size for part in mg.split(x, [1, 9])] == [1, 9]
    assert [part.shape for part in mg.split(Tensor(np.ones((2, 3))), 2, 1)] == [(2, 2), (2, 1)]
    assert [part.size for part in mg.split(x[:0], 3)] == [0]


# ---- shapes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: x @ np.ones((2, 3)), r"matmul: \(2, 3\) @ \(2, 3\).*\(3\).*\(2\).*\.mT"),
        (lambda x: x @ 2.0, "multiply with"),
        (lambda x: x @ np.ones(2), r"matmul: \(2, 3\) @ \(2,\)"),
        (lambda x: mg.bmm(x, np.ones((2, 3))), r"matmul: \(2, 3\) @ \(2, 3\)"),
        (lambda x: mg.where(np.ones(2, bool), x, 0), r"condition's shape \(2,\)"),
        (lambda x: mg.stack([x, x], axis=3), "axis 3 is out of bounds"),
        (lambda x: mg.linear(x, np.ones((4, 2)), np.ones(4)), r"\(N, in\) and \(out, in\)"),
        (lambda x: mg.linear(x, np.ones((4, 3)), np.ones(3)), r"bias \(3,\)"),
        (lambda x: x.reshape(4), r"6 elements of shape \(2, 3\).*\(4,\)"),
        (lambda x: x.broadcast_to((2, 2)), r"\(2, 3\).*\(2, 2\)"),
        (lambda x: x.permute(0, 0), r"dims \(0, 0\)"),
        (lambda x: x.transpose(0, 2), r"axis 2 is out of bounds"),
        (lambda x: mg.concatenate([x, x[:, :2]]), r"\[\(2, 3\), \(2, 2\)\]"),
        (lambda x: mg.stack([x, x[0]]), r"\[\(2, 3\), \(3,\)\]"),
        (lambda x: mg.split(x, [2, 2], axis=1), r"\[2, 2\] elements.*3 along axis 1"),
        (lambda x: mg.split(x, 0), "parts of 0"),
        (lambda x: x.clip(), "min and max"),
        (lambda x: mg.stack([]), "stack: the sequence is empty"),
        (lambda x: mg.concatenate([]), "concatenate: the sequence is empty"),
        (lambda x: mg.elu(x, alpha=0), "alpha = 0"),
        (lambda x: x[:0].max(axis=0), r"max: shape \(0, 3\)"),
        (lambda x: x + np.ones((2, 2)), r"add: shapes \(2, 3\) and \(2, 2\)"),
        (lambda x: x.item(), r"\(2, 3\) holds 6 numbers"),
    ],
)
def test_shapes_that_do_not_fit_are_named_with_the_mend(make, message):
    with pytest.raises(ValueError, match=message):
        make(Tensor(np.ones((2, 3))))


def test_shapes_may_be_one_number_and_none_is_negative():
    assert Tensor([1.0, 2.0]).reshape(2).shape == mg.reshape(Tensor([1.0, 2.0]), 2).shape == (2,)
    assert mg.broadcast_to(Tensor(1.0), 3).shape == (3,)
    for shape in ((-1,), (-1, 3)):
        with pytest.raises(ValueError, match="negative|Negative|not broadcast"):
            mg.broadcast_to(Tensor(1.0), shape)
    for call in (lambda x: mg.split(x, 1, 5), lambda x: mg.concatenate([x, x], 5)):
        with pytest.raises(ValueError, match="axis 5 is out of bounds"):
            call(Tensor([1.0]))
    assert Tensor([1.0]).to(">f4").dtype == np.float32


def test_batch_norm_refuses_statistics_of_another_size_before_it_moves_any():
    mean = Tensor(np.zeros(2, np.float32))
    with pytest.raises(ValueError, match=r"batch_norm: running_var has shape \(3,\)"):
        mg.batch_norm(Tensor(np.ones((4, 2), np.float32)), mean, np.ones(3), training=True)
    assert mean.numpy().tolist() == [0, 0]


def test_cross_entropy_of_no_rows():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    assert np.isnan(mg.cross_entropy(x[:0], []).item())
    with pytest.raises(TypeError, match="labels are float64"):
        mg.cross_entropy(x[:0], np.array([]))
