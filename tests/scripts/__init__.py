"""Tests of the scripts, of what is installed and of the repository as a whole."""
