"""The checker is checked: wrong gradients, planted, must fail it."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor, primitive, random
from minigrad.core.primitive import OPERATIONS, Primitive
from minigrad.gradcheck import GradcheckError, gradcheck, gradgradcheck
from tests.ops.table import CASES

A = np.random.RandomState(0).randn(2, 3)


@pytest.mark.parametrize("factor", [2, 1.001, 1.0001, 1 + 1e-8, -1, 0])
def test_a_pull_that_is_off_by_a_factor_fails(factor):
    @primitive
    def wrong(a):
        return np.exp(a)

    wrong.pulls = (lambda g, y, a: g * y * factor,)

    with pytest.raises(GradcheckError):
        gradcheck(wrong, [A])


@pytest.mark.parametrize("factor", [2, 1.001, 1.0001])
def test_the_same_where_the_complex_step_does_not_apply(factor):
    @primitive
    def wrong(a):
        return np.abs(a)

    wrong.pulls = (lambda g, y, a: g * np.sign(a.data) * factor,)

    with pytest.raises(GradcheckError):
        gradcheck(wrong, [A])


def test_a_missing_transpose_fails_even_where_shapes_agree():
    @primitive
    def wrong(a, b):
        return a @ b

    wrong.pulls = (lambda g, y, a, b: g @ b, lambda g, y, a, b: a.mT @ g)

    square = np.random.RandomState(1).randn(3, 3)
    with pytest.raises(GradcheckError, match="input 0"):
        gradcheck(wrong, [square, square + 1])


def test_a_pull_that_is_right_for_ones_only_fails():
    """y = x − mean(x): with cotangent ones every gradient is 0, and so is this wrong pull's."""

    @primitive
    def wrong(a):
        return a - a.mean()

    wrong.pulls = (lambda g, y, a: (g - g.mean()) * 3,)

    with pytest.raises(GradcheckError):
        gradcheck(wrong, [A])


def test_a_pull_with_one_wrong_element_fails_and_the_message_names_it():
    bump = np.zeros((2, 3))
    bump[1, 2] = 0.5

    @primitive
    def wrong(a):
        return a * 2

    wrong.pulls = (lambda g, y, a: g * (2 + bump),)

    message = r"input 1, element \(1, 2\) \(value 0.5\): backward gives .*, differences of f give"
    b = np.full((2, 3), 0.5)
    with pytest.raises(GradcheckError, match=message):
        gradcheck(lambda a, b: a + wrong(b), [A, b])


def test_a_pull_cut_off_from_the_graph_passes_once_and_fails_twice():
    """Its gradient is right, but a constant: only the second order shows it."""

    @primitive
    def cut(a):
        return a**3

    cut.pulls = (lambda g, y, a: g * Tensor(3 * a.data**2),)

    assert gradcheck(cut, [A])
    with pytest.raises(GradcheckError):
        gradgradcheck(cut, [A])


def test_a_wrong_second_derivative_fails():
    @primitive
    def slope(a):
        return 3 * a**2

    slope.pulls = (lambda g, y, a: g * a * 6.006,)

    @primitive
    def cube(a):
        return a**3

    cube.pulls = (lambda g, y, a: g * slope(a),)

    assert gradcheck(cube, [A])
    with pytest.raises(GradcheckError):
        gradgradcheck(cube, [A])


def test_a_nan_gradient_fails():
    @primitive
    def wrong(a):
        return a * 2

    wrong.pulls = (lambda g, y, a: g * np.nan,)

    with pytest.raises(GradcheckError, match="backward gives nan"):
        gradcheck(wrong, [A])


def test_a_large_other_term_does_not_hide_a_wrong_gradient():
    """One tolerance for all inputs, or one that grows with f, would pass these."""

    @primitive
    def wrong_abs(a):
        return np.abs(a)

    wrong_abs.pulls = (lambda g, y, a: 2 * g * np.sign(a.data),)

    @primitive
    def wrong_exp(a):
        return np.exp(a)

    wrong_exp.pulls = (lambda g, y, a: 2 * g * y,)

    with pytest.raises(GradcheckError):
        gradcheck(lambda x: wrong_abs(x) + 3e7, [A])
    with pytest.raises(GradcheckError, match="input 0"):
        gradcheck(lambda x, b: wrong_exp(x) + 1e11 * b, [A, A])


def test_a_large_other_term_does_not_make_a_right_gradient_wrong():
    assert gradcheck(lambda x, b: abs(x) + 1e8 * b, [A, A])


def test_every_input_is_checked():
    @primitive
    def wrong(a, b, c):
        return a * b * c

    wrong.pulls = (
        lambda g, y, a, b, c: g * b * c,
        lambda g, y, a, b, c: g * a * c,
        lambda g, y, a, b, c: g * a * b * 1.01,
    )

    with pytest.raises(GradcheckError, match="input 2"):
        gradcheck(wrong, [A, A + 3, A + 5])


def test_every_output_is_checked():
    @primitive
    def wrong(a):
        return a * 3

    wrong.pulls = (lambda g, y, a: g * 2,)

    with pytest.raises(GradcheckError):
        gradcheck(lambda a: (a * 2, wrong(a)), [A])


@pytest.mark.parametrize("inputs", [[], [np.zeros((0, 3))]])
def test_comparing_nothing_is_an_error(inputs):
    with pytest.raises(GradcheckError, match="nothing to compare"):
        gradcheck(lambda *xs: sum((x.sum() for x in xs), Tensor(np.zeros(()))), inputs)
    with pytest.raises(GradcheckError, match="nothing to compare"):
        gradcheck(lambda x: x[:0], [A])


def test_a_random_function_is_an_error():
    with pytest.raises(GradcheckError, match="random"):
        gradcheck(lambda x: x * random.normal(x.shape, np.float64), [A])


def test_a_function_that_returns_no_tensor_is_an_error():
    with pytest.raises(TypeError, match="must return a Tensor"):
        gradcheck(lambda x: x.numpy(), [A])


def test_the_method_can_be_chosen():
    assert gradcheck(mg.exp, [A], method="five-point")
    assert gradcheck(mg.exp, [A], method="complex", tolerance=1e-14)
    with pytest.raises(ValueError, match="auto, complex or five-point"):
        gradcheck(mg.exp, [A], method="forward")


def test_a_function_without_a_complex_derivative_is_seen_to_have_none():
    """Im |x + ih| is 0. Taken at its word, the complex step would call this right gradient wrong,
    and a gradient of 0 right."""
    assert gradcheck(lambda x: abs(x) * x, [A])

    @primitive
    def dead(a):
        return np.abs(a)

    dead.pulls = (lambda g, y, a: g * 0,)

    with pytest.raises(GradcheckError):
        gradcheck(dead, [A])


def test_a_function_that_refuses_complex_numbers_is_checked_by_differences():
    @primitive
    def refuses(a):
        return np.array([float(v) ** 2 for v in a.flat])

    refuses.pulls = (lambda g, y, a: 2 * g * a,)

    with pytest.warns(UserWarning, match="takes no complex numbers.*five-point") as seen:
        assert gradcheck(refuses, [A[0]])
    assert seen[0].filename == __file__
    with pytest.warns(UserWarning, match="five-point"):
        assert gradgradcheck(refuses, [A[0]])


def test_it_says_which_method_it_used(capsys):
    assert gradcheck(mg.exp, [A], verbose=True)
    text = capsys.readouterr().out
    assert "6 outputs by 6 inputs against the complex step, to 1e-10; the worst error is" in text
    gradcheck(abs, [A], verbose=True)
    assert "the five-point stencil, to 1e-07" in capsys.readouterr().out
    gradgradcheck(mg.exp, [A], verbose=True)
    assert "6 outputs by 12 inputs" in capsys.readouterr().out.replace("12 outputs", "6 outputs")
    gradcheck(mg.exp, [A])
    assert not capsys.readouterr().out


def test_float32_inputs_are_checked_in_float64():
    assert gradcheck(mg.exp, [A.astype(np.float32)])
    assert gradcheck(mg.exp, [Tensor(A, dtype="float32")])


def primitives():
    """Those with pulls, by name."""
    found = {name: f for name, f in OPERATIONS.items() if isinstance(f, Primitive)}
    ours = {name: f for name, f in found.items() if f.__module__.startswith("minigrad.")}
    return {name: f for name, f in ours.items() if f.pulls}


def planted_places():
    """(name, number of a pull) for every pull there is."""
    for name, operation in sorted(primitives().items()):
        several = range(2) if callable(operation.pulls) else range(len(operation.pulls))
        yield from ((name, i) for i in several if callable(operation.pulls) or operation.pulls[i])


@pytest.mark.parametrize(("name", "which"), list(planted_places()))
def test_a_factor_of_1_001_planted_in_any_operation_is_found(name, which, monkeypatch):
    """In the pull of each operand, over the same table as the real checks."""
    operation = primitives()[name]
    right = operation.pulls
    if callable(right):
        wrong = lambda *args, **static: [  # noqa: E731
            share * 1.001 if i == which else share for i, share in enumerate(right(*args, **static))
        ]
    else:
        wrong = list(right)
        wrong[which] = lambda *args, **static: right[which](*args, **static) * 1.001
    found = []

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def check(data):
        arrays, ours, _ = data.draw(CASES[name])
        try:
            gradcheck(ours, arrays)
        except GradcheckError:
            found.append(True)

    monkeypatch.setattr(operation, "_pulls", wrong)
    check()
    assert found
