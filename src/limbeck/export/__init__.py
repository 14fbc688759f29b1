"""From a PyTorch model to compiled graphs, checked. One file a target."""
