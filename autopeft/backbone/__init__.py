"""A checkpoint -> the resident frozen model that all trials share, and its sizes without weights."""
