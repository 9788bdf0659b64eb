"""A training step is a program, and backpropagation turns one program into another.

`compile` writes that other program down:

    >>> import numpy as np
    >>> import minigrad as mg
    >>> @mg.compile
    ... def step(a, b):
    ...     y = mg.tanh(a * b + a)
    ...     return y, mg.grad(y, a)
    >>> a, b = mg.Tensor(0.5, requires_grad=True), mg.Tensor(2.0)
    >>> y, slope = step(a, b)
    >>> print(step.program)  # doctest: +ELLIPSIS
    forward:
      v1 : f32[] = multiply(a, b)    # ...
      v2 : f32[] = add(v1, a)        # ...
      v3 : f32[] = tanh(v2)          # ...
    backward:
      v4 : f32[] = ones_like(v3)     # ...
      v5 : f32[] = multiply(v3, v3)  # ...
      v6 : f32[] = subtract(1, v5)   # ...
      v7 : f32[] = multiply(v4, v6)  # ...
      v8 : f32[] = multiply(v7, b)   # ...
      v9 : f32[] = add(v7, v8)       # ...
    in the end:
      return (v3, (v9,))

From its second call on, the function is no longer run: its program is, without Python between the
operations. recorder.py writes a program down; instructions.py is what a program is, and names.py
what its state is called; passes.py makes it shorter; loops.py puts compiled loops in the place of
elementwise operations; replay.py runs it; compiled.py decides which.
"""

from minigrad.program.compiled import compile
from minigrad.program.instructions import Instruction, Program, Value
from minigrad.program.recorder import RecordingError

__all__ = ["Instruction", "Program", "RecordingError", "Value", "compile"]
