"""The parts of a plan, each resolved by a pure function; `headless.plan` puts them together."""
