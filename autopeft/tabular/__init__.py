"""Tabular benchmarks: many configurations trained at full length, and the searches that can be replayed over them."""
