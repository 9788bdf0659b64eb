"""This is the engine. Read tensor, primitive, interpreter, graph, unbroadcast, backward in order.

guards.py checks what users ask for, and contracts.py what operations do; dtypes.py decides which
dtype operands get, and show.py prints graphs.

One example shows everything: L = x x + x at x = 3, where its slope is 2 x + 1 = 7.

    x = 3 ──┬──► multiply ──► v = 9 ──► add ──► L = 12
            ├──────▲                     ▲
            └────────────────────────────┘

In the forward pass each operation runs and leaves a node, which remembers the operands:

    multiply(x, x) = 9        add(v, x) = 12

The backward pass starts from L̄ = ∂L/∂L = 1 and visits the latest node first. When it reaches a
node, the cotangent of that node's result is complete, because everything that used the result ran
later. The node's pulls turn this cotangent into a share for each operand, where shares are summed.
For y = a + b the pulls are ā = ȳ and b̄ = ȳ; for y = a b they are ā = ȳ b and b̄ = ȳ a:

    add        L̄ = 1   sends 1 to v, and 1 to x                 v̄ = 1    x̄ = 1
    multiply   v̄ = 1   sends 1 · 3 to x, and 1 · 3 to x again            x̄ = 1 + 3 + 3 = 7

>>> from minigrad import Tensor, graph
>>> x = Tensor(3.0, requires_grad=True)
>>> L = x * x + x
>>> print(graph(L))
x0 : f32[] = leaf
v1 : f32[] = multiply(x0, x0)
v2 : f32[] = add(v1, x0)
>>> L.backward()
>>> L.item(), x.grad.item()
(12.0, 7.0)
"""
