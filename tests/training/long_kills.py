"""200 SIGKILLs at random moments; ten runs carried to the end. By `make test-kills`: 15 minutes."""

import pytest

from tests.training.scripts import RUN, SHORT, everything, killed_and_resumed


@pytest.mark.parametrize("seed", range(10))
def test_twenty_kills(seed, undisturbed, tmp_path):
    killed_and_resumed(tmp_path / RUN, 20, seed, *SHORT, "--out", tmp_path)
    assert everything(tmp_path / RUN) == everything(undisturbed / RUN)
