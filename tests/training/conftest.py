"""What the tests of trainings share, beside scripts.py."""

import pytest

from tests.training.scripts import SHORT, run


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """A folder with a short run of train_vae.py in it, which nothing stopped. Tests only look."""
    out = tmp_path_factory.mktemp("undisturbed")
    code, output = run(*SHORT, "--out", out)
    assert code == 0, output
    return out
