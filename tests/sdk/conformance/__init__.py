"""What a decorator that traces Python functions must keep and must do: 43 rows, each a test.

A row knows one SDK only through `kit.Traced`: how to decorate a function or a class, and which spans and metrics came
of it. An adapter for another SDK is some twenty lines (see `adapters`), and `table.run_all` runs all rows on it.

A row passes only if the call was traced, too: what nobody traces cannot be traced wrongly. `test_table` runs the rows
on decorators with the usual faults and asserts which rows fail, so each row is known to be able to.
"""
