"""The engine. Read tensor, primitive, interpreter, graph, unbroadcast, backward, in this order.

guards checks what users ask, contracts what operations keep to; dtypes is what numbers become when
they meet, show a graph in print.

Everything is in one example: L = x x + x at x = 3, whose slope is 2 x + 1 = 7.

    x = 3 ──┬──► multiply ──► v = 9 ──► add ──► L = 12
            ├──────▲                     ▲
            └────────────────────────────┘

Forwards, each operation runs and leaves a node, which remembers its operands:

    multiply(x, x) = 9        add(v, x) = 12

Backwards, from L̄ = ∂L/∂L = 1, the latest node first. By then the cotangent of its result is
complete, because everything that used the result ran later. Its pulls hand that on to the operands,
where it is summed up. For y = a + b they are ā = ȳ and b̄ = ȳ, for y = a b they are ā = ȳ b and
b̄ = ȳ a:

    add        L̄ = 1   hands 1 to v, and 1 to x                 v̄ = 1    x̄ = 1
    multiply   v̄ = 1   hands 1 · 3 to x, and 1 · 3 to x again            x̄ = 1 + 3 + 3 = 7

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
