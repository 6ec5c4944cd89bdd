"""What the benchmarks of the queue and of the worker share."""
