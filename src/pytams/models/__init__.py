"""Ways to be a model: a folder each. A model says itself what advances it."""
