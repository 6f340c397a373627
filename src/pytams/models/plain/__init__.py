"""Models as functions of (state, noise, time): many members at once, or one by one."""
