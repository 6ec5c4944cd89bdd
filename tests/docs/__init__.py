"""What the pages under docs/ say, held against the repository."""
