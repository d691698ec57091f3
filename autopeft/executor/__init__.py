"""Who trains: one driver pushes packs of orders to an executor, which has workers and says how each pack ended."""
