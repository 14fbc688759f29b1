"""PyTorch: load a base, put a head on it, read and write both. Above the torch line."""
