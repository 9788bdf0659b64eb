"""Is a gradient right? Compare it with derivatives that use the function's values alone.

    gradcheck(lambda a, b: a @ b.exp(), [a, b])         # first derivatives
    gradgradcheck(lambda a, b: a @ b.exp(), [a, b])     # derivatives of the derivatives

Where the function is analytic, the reference is the complex step (Squire & Trapp 1998):
Im f(x + ih) / h subtracts nothing, so with h = 10⁻²⁰ it is right to the last digits. Elsewhere, as
for |x|, the reference is the five-point stencil, which is good to about ten digits. The stencil
also shows whether the function is analytic. Both methods run in float64, because differences in
float32 cannot detect a gradient that is wrong by a part in a thousand.
"""

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from minigrad import ops
from minigrad.core.backward import grad
from minigrad.core.interpreter import enable_grad, no_grad
from minigrad.core.tensor import Tensor

COMPLEX_STEP = 1e-20
STEP = 1e-3  # for the stencil: truncation h⁴ f⁽⁵⁾ / 30 and rounding ε f / h are both about 10⁻¹³ f
TOLERANCE = {"complex": 1e-10, "five-point": 1e-7}
NAMES = {"complex": "the complex step", "five-point": "the five-point stencil"}


class GradcheckError(AssertionError):
    """The gradient is wrong, or nothing could be compared. The message has the numbers."""


def gradcheck(
    f: Callable, inputs: Sequence, *, method: str = "auto", tolerance: float | None = None, seed=0,
    verbose=False,
) -> bool:  # fmt: skip
    """Return True if backward's gradients of f agree with differences of f; else GradcheckError.

    f: a deterministic function of one Tensor per input that returns a Tensor or a tuple of them
    inputs: arrays, Tensors or numbers, converted to float64, or a single array or Tensor; keep them
        more than 2·10⁻³ away from kinks, and small, because the whole Jacobian is computed, one
        column per element
    method: "complex", "five-point", or "auto", which is complex where both agree
    tolerance: on errors, relative to the largest entry of the Jacobian's columns for that input
        (10⁻¹⁰ for complex, 10⁻⁷ for five-point); the reference's own possible error is added to it
    verbose: whether to print the method and the worst error

    Warns (UserWarning) if f does not take complex numbers, and uses the five-point stencil then.

    A cotangent with one random entry tests each row of the Jacobian, and one with random entries
    throughout tests a sum of all rows. A cotangent of ones would let a pull pass that is right for
    ones alone, and would test nothing of BatchNorm's pull, whose answer to ones is zero.
    """
    points = [np.array(x, dtype=np.float64) for x in _several(inputs)]
    values = _values(f, points)
    if not np.array_equal(values, _values(f, points), equal_nan=True):
        raise GradcheckError("gradcheck: f gave two results for the same inputs; is it random?")
    if not sum(x.size for x in points) or not values.size:
        raise GradcheckError("gradcheck: nothing to compare: f has no inputs or no outputs")
    jacobian, error, method = _jacobian(f, points, method)
    worst = 0.0
    tolerance = TOLERANCE[method] if tolerance is None else tolerance
    error = error + tolerance * _largest(jacobian, points)
    generator = np.random.default_rng(seed)
    entries = generator.uniform(0.5, 1.5, len(values)) * generator.choice((-1, 1), len(values))
    for cotangent in [*np.diag(entries), entries]:
        gradients = _vjp(f, [Tensor(x, requires_grad=True) for x in points], Tensor(cotangent))
        found = _compare(gradients, cotangent @ jacobian, points, np.abs(cotangent) @ error)
        worst = max(worst, found)
    if verbose:
        rows, columns = jacobian.shape
        print(
            f"gradcheck: right; {rows} outputs by {columns} inputs against {NAMES[method]}, to "
            f"{tolerance:g}; the worst error is {worst:.1e}"
        )
    return True


def gradgradcheck(
    f: Callable, inputs: Sequence, *, method: str = "auto", tolerance: float | None = None, seed=0,
    verbose=False,
) -> bool:  # fmt: skip
    """Return True if f's second derivatives agree with differences of its first; else raise.

    This is `gradcheck` of the function (inputs, cotangents of f's results) -> gradients, with the
    same arguments and the same GradcheckError.
    """
    inputs = _several(inputs)
    cotangent = np.random.default_rng(seed).uniform(0.5, 1.5, len(_values(f, inputs)))

    def gradients(*tensors):
        xs = [x if x.requires_grad else Tensor(x, requires_grad=True) for x in tensors[:-1]]
        return _vjp(f, xs, tensors[-1], create_graph=True)

    return gradcheck(
        gradients, [*inputs, cotangent], method=method, tolerance=tolerance, seed=seed,
        verbose=verbose,
    )  # fmt: skip


def _several(inputs):
    return [inputs] if isinstance(inputs, (Tensor, np.ndarray)) else list(inputs)


def _output(f, xs) -> Tensor:
    """Return all results of f in one vector."""
    ys = f(*xs)
    ys = ys if isinstance(ys, (tuple, list)) else (ys,)
    if not all(isinstance(y, Tensor) for y in ys):
        raise TypeError("gradcheck: f must return a Tensor or a tuple of Tensors")
    return ops.concatenate([y.reshape(-1) for y in ys])


def _values(f, points) -> np.ndarray:
    dtype = np.result_type(np.float64, *points)  # complex if one of the points is
    with no_grad():
        return _output(f, [Tensor(x, dtype=dtype) for x in points]).data


def _vjp(f, xs, cotangent, create_graph=False) -> list[Tensor]:
    """Return the gradients of f for this cotangent, with zeros where f does not depend on x."""
    with enable_grad():
        y = _output(f, xs)
    if not y.requires_grad:
        return [x.detach() * 0 for x in xs]
    found = grad(y, xs, cotangent, create_graph=create_graph, allow_unused=True)
    return [x.detach() * 0 if g is None else g for x, g in zip(xs, found, strict=True)]


def _jacobian(f, points, method) -> tuple[np.ndarray, np.ndarray, str]:
    """Return (outputs, inputs) from values alone, a bound on its error, and the method used."""
    if method not in ("auto", "complex", "five-point"):
        raise ValueError(f"gradcheck: method {method!r}; choose auto, complex or five-point")
    if method != "complex":
        differences, error = _columns(f, points, _five_point_column)
        if method == "five-point":
            return differences, error, method
    try:
        with warnings.catch_warnings():  # NumPy only warns where it drops the imaginary part
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            exact, exact_error = _columns(f, points, _complex_column)
    except Exception as refusal:  # f may raise anything for complex numbers
        if method == "complex":
            raise
        warnings.warn(
            f"gradcheck: f takes no complex numbers ({type(refusal).__name__}: {refusal}), so the "
            "five-point stencil stands in for the complex step, and errors below "
            f"{TOLERANCE['five-point']:g} are not seen",
            stacklevel=3,
        )
        return differences, error, "five-point"
    if method == "auto":
        bound = error + 1e-6 * _largest(differences, points)
        if not (np.abs(exact - differences) <= bound).all():
            return differences, error, "five-point"  # f is not analytic, as |z| is not
    return exact, exact_error, "complex"


def _largest(jacobian, points) -> np.ndarray:
    """Return for each column the largest entry of all columns that belong to the same input."""
    sizes = [point.size for point in points]
    parts = np.split(np.abs(jacobian), np.cumsum(sizes)[:-1], axis=1)
    return np.repeat([part.max(initial=0) for part in parts], sizes)


def _columns(f, points, column) -> tuple[np.ndarray, np.ndarray]:
    columns = []
    for i, point in enumerate(points):
        for index in np.ndindex(point.shape):

            def shifted(h, i=i, point=point, index=index):
                moved = point.astype(np.result_type(point, type(h)))
                moved[index] += h
                return _values(f, [*points[:i], moved, *points[i + 1 :]])

            columns.append(column(shifted, max(1.0, abs(point[index]))))
    derivatives, errors = zip(*columns, strict=True)
    return np.stack(derivatives, axis=1), np.stack(errors, axis=1)


def _complex_column(shifted, size):
    value = shifted(1j * COMPLEX_STEP)
    derivative = np.imag(value) / COMPLEX_STEP
    rounding, truncation = 1e-15 * np.abs(derivative).max(), 1e-30  # ample for h² f⁽³⁾ / 6
    return derivative, np.full(len(value), rounding + truncation)


def _five_point_column(shifted, size):
    """f′ ≈ (f(x − 2h) − 8 f(x − h) + 8 f(x + h) − f(x + 2h)) / 12h, error h⁴ f⁽⁵⁾ / 30.

    The plain difference (f(x + h) − f(x − h)) / 2h has the error h² f⁽³⁾ / 6. A thousandth of it
    bounds the stencil's error, unless f varies very fast on the scale of h.
    """
    h = STEP * size
    far, near = shifted(2 * h) - shifted(-2 * h), shifted(h) - shifted(-h)
    derivative, plain = (8 * near - far) / (12 * h), near / (2 * h)
    rounding = 2e-15 * np.abs(shifted(h)).max() / h
    return derivative, 1e-3 * np.abs(derivative - plain) + rounding


def _compare(gradients, expected, points, bound):
    """Return the worst error, or raise GradcheckError if one is not within its bound."""
    start, largest = 0, 0.0
    for i, (gradient, point) in enumerate(zip(gradients, points, strict=True)):
        g = gradient.data
        if g.shape != point.shape or g.dtype != np.float64:
            raise GradcheckError(
                f"gradcheck: input {i} is float64 of shape {point.shape}, but its gradient is "
                f"{g.dtype} of shape {g.shape}"
            )
        part = slice(start, start + point.size)
        start += point.size
        reference, allowed = expected[part].reshape(point.shape), bound[part].reshape(point.shape)
        error = np.abs(g - reference)
        largest = max(largest, error.max(initial=0))
        if not (error <= allowed).all():  # NaN fails, too
            worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), g.shape)
            element = tuple(int(n) for n in worst)
            raise GradcheckError(
                f"gradcheck: input {i}, element {element} (value {point[element]:.17g}): backward "
                f"gives {g[element]:.17g}, differences of f give {reference[element]:.17g}; the "
                f"error {error[element]:.2g} is above {allowed[element]:.2g}"
            )
    return largest
