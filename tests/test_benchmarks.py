"""The statistics of a benchmark, on made-up turns, and what a machine's peak is measured by."""

import numpy as np
import pytest

from benchmarks import machine, turns
from minigrad.kernels.tile import HEIGHT, WIDTH
from minigrad.kernels.vectors import REGISTER

OURS, THEIRS = turns.OURS, "theirs"
# Seconds of the steps of each turn. In the last round the machine was four times as slow.
MADE_UP = {
    OURS: [[2e-3, 1e-3, 3e-3], [2e-3, 9e-3, 2e-3], [8e-3, 8e-3, 7e-3]],
    THEIRS: [[4e-3, 5e-3, 4e-3], [5e-3, 5e-3, 5e-3], [16e-3, 16e-3, 16e-3]],
}


def test_a_ratio_is_the_median_of_the_rounds():
    assert turns.ratio(MADE_UP, OURS, THEIRS) == pytest.approx(0.5)
    assert turns.ratio(MADE_UP, THEIRS, OURS) == pytest.approx(2)
    assert turns.ratio(MADE_UP, THEIRS, THEIRS) == 1


def test_a_table_has_medians_ratios_and_floors():
    rows = turns.table(MADE_UP, {OURS: 7, THEIRS: 9}, {"floor": 1e-3}, THEIRS)
    assert [(row[0], *row[3:]) for row in rows] == [
        (OURS, pytest.approx(0.5), 1, 7),
        (THEIRS, 1, pytest.approx(0.5), 9),
        ("floor", pytest.approx(0.2), pytest.approx(3), ""),
    ]
    assert [row[1] for row in rows] == pytest.approx([3, 5, 1])
    assert rows[0][2] == "2.00 … 8.00"


def test_a_peer_that_all_is_compared_with_must_start():
    with pytest.raises(SystemExit, match="theirs is needed, and did not start"):
        turns.take_turns({THEIRS: ["true"]}, [THEIRS], 1, 1)


def test_the_peak_is_measured_by_products_and_the_bandwidth_by_additions():
    columns = WIDTH * REGISTER // 4
    a, b = np.ones(HEIGHT * machine.DEPTH, np.float32), np.ones(columns * machine.DEPTH, np.float32)
    out = np.zeros((2, HEIGHT * columns), np.float32)
    machine._tiles(1, 2, a, b, out, 3)
    assert (out == 3 * machine.DEPTH).all()
    assert all([0 < measured < np.inf for measured in (machine.flops(), machine.bandwidth(10**6))])
