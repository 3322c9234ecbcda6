# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Whatever stands at the two ends, in a segment or in a binding, on whichever carrier: what people run crosses in both
directions with the offloads that guests have by default, and each frame that a receiver sees has right checksums.

lab/grid.py has the combinations, lab/protocols.py what is done; tests/compat.py makes docs/compat.md of what came out."""
import pytest

from lab import grid
from lab.pair import Pair
from lab.protocols import FUNCTIONS


class Stage:
    """The pair of the row that is being tested; the next row's comes when it is asked for."""

    def __init__(self):
        self.row, self.pair, self.error = None, None, None

    def of(self, row):
        if row != self.row:
            self.close()
            self.row, self.error = row, None
            try:
                self.pair = Pair(row)
            except Exception as e:
                self.error = e
        if self.error:
            raise self.error
        return self.pair

    def close(self):
        if self.pair:
            self.pair.close()
            self.pair = None


@pytest.fixture(scope="module")
def stage():
    made = Stage()
    yield made
    made.close()


@pytest.mark.parametrize("cell", grid.CELLS, ids=str)
def test_traffic_crosses(stage, cell):
    pair = stage.of(cell.row)
    with pair.watched():
        FUNCTIONS[cell.protocol](pair)
