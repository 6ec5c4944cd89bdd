"""Scripts that build what the repository ships."""
