"""The Optuna study: objectives, sampler, rungs, finalists and full-length runs, in a folder that survives a kill."""
