"""Models as stateful objects: simulators that hold their state, and can save and load it."""
