"""Short training runs: jobs become curves, packed or on several processes where that is faster."""
