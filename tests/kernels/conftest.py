"""What the tests of kernels share, beside helpers.py."""

import pytest


@pytest.fixture(scope="module")
def kernels_for_tiny_products():
    """Tiny products are left to NumPy, but their edges are where a product's kernel goes wrong."""
    from minigrad.kernels import gemm

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gemm, "TINY", 0)
        yield
