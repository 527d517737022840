"""What the benchmarks share: a cloud of their own, executions timed, memory sampled."""
