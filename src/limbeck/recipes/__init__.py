"""The verbs: one function a recipe, read from top to bottom. The only place that wires parts."""
