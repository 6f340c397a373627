"""Pictures of a result: each function draws into an Axes and returns it; `pytams.plot` has them all."""
