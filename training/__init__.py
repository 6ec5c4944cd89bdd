"""How the tiny model was made: a synthetic world, and one short script per network."""
