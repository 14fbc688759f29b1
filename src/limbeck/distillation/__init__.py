"""Distillation: a small model learns what a larger one answers and how it comes to it."""
