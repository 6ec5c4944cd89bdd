"""What the benchmarks of a GPU share: the device, random networks, ceilings of the device, clocks."""
