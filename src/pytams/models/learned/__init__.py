"""A score learned from a pilot study: an estimate of the committor."""
