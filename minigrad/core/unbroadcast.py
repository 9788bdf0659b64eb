"""Broadcasting repeats an operand along axes; its cotangent is the sum over the repeats."""

from minigrad.core import contracts


def unbroadcast(share, operand, primitive):
    """Sum a share, which a pull of the primitive returned, down to the operand's shape."""
    contracts.is_share_of(share, operand, primitive)
    shape, wanted = share._array.shape, operand._array.shape
    if shape == wanted:
        return share
    extra = len(shape) - len(wanted)
    padded = (1,) * extra + wanted
    axes = tuple([i for i, n in enumerate(shape) if n != padded[i] or i < extra])
    return share.sum(axes, keepdims=True).reshape(wanted)
