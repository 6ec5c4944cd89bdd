"""The image without a container engine: the Dockerfile's steps in a clean root, and a trial of the result."""
