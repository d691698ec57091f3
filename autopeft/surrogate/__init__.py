"""What a search expects of configurations that it has not trained: a Gaussian process that knows the benchmark of tasks."""
