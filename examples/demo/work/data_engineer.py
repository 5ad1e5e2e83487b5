"""DataEngineer: keeps a table of orders in SQLite and answers questions about it."""

from __future__ import annotations

import itertools
import random
import sqlite3
import weakref
from collections.abc import Iterator
from typing import Any, Final

from bmad_otel import track_task

from .agent import Surroundings, Task

LOAD_ROWS: Final = 1_000
KEEP_ROWS: Final = 12_000
"""More makes the questions slow; older orders are deleted."""

_SCHEMA = """
    CREATE TABLE customers(id INTEGER PRIMARY KEY, region TEXT NOT NULL);
    CREATE TABLE orders(
        id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers, day INTEGER NOT NULL,
        cents INTEGER NOT NULL
    );
"""

_REVENUE_BY_REGION = """
    SELECT region, count(*), sum(cents) / 100.0 FROM orders JOIN customers ON customers.id = customer
    GROUP BY region ORDER BY 3 DESC
"""

_MOVING_AVERAGE = """
    WITH daily AS (SELECT day, sum(cents) AS cents FROM orders GROUP BY day)
    SELECT day, avg(cents) OVER (ORDER BY day ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) FROM daily
"""

_BEST_CUSTOMERS = """
    SELECT region, customer, spent FROM (
        SELECT region, customer, sum(cents) AS spent,
               rank() OVER (PARTITION BY region ORDER BY sum(cents) DESC) AS place
        FROM orders JOIN customers ON customers.id = customer GROUP BY customer
    ) WHERE place <= 3 ORDER BY region, place
"""


class DataEngineer:
    """Loads a day's orders, then answers the three questions; and again."""

    every_s = 0.2
    share = 0.08

    def __init__(self, _surroundings: Surroundings) -> None:
        # Made on the main thread, used on the agent's own and on no other.
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._database.close)
        self._database.executescript(_SCHEMA)
        self._random = random.Random(7)  # the same orders in every run
        regions = itertools.cycle(("north", "east", "south", "west"))
        self._database.executemany("INSERT INTO customers VALUES (?, ?)", zip(range(500), regions, strict=False))

    def tasks(self) -> Iterator[Task]:
        while True:
            yield self.load_orders
            yield self.revenue_by_region
            yield self.moving_average
            yield self.best_customers

    @track_task
    def load_orders(self) -> int:
        """Adds orders and drops the oldest beyond `KEEP_ROWS`. Returns how many there are."""
        draw = self._random
        rows = [(draw.randrange(500), draw.randrange(365), draw.randrange(500, 50_000)) for _ in range(LOAD_ROWS)]
        with self._database:
            self._database.executemany("INSERT INTO orders(customer, day, cents) VALUES (?, ?, ?)", rows)
            self._database.execute("DELETE FROM orders WHERE id <= (SELECT max(id) FROM orders) - ?", (KEEP_ROWS,))
        (count,) = self._database.execute("SELECT count(*) FROM orders").fetchone()
        return int(count)

    @track_task
    def revenue_by_region(self) -> list[Any]:
        return self._database.execute(_REVENUE_BY_REGION).fetchall()

    @track_task
    def moving_average(self) -> list[Any]:
        return self._database.execute(_MOVING_AVERAGE).fetchall()

    @track_task
    def best_customers(self) -> list[Any]:
        return self._database.execute(_BEST_CUSTOMERS).fetchall()
