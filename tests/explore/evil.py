"""A function whose name, operation, docstring and line of code try to be HTML."""

from minigrad import primitive


def function_named(evil):
    """A function f(x) of one operation, both with this name, and the operation's docstring too."""

    def forward(a):
        return a + 1

    forward.__doc__, forward.__name__ = evil, evil
    operation = primitive(forward, pulls=[lambda g, y, a: g])

    def f(x):
        return operation(x)  # </script><script>window.hacked = 2</script>

    f.__name__ = evil
    return f
