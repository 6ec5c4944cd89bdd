"""Many worker processes on a real queue, under faults at random; then everything is audited."""
