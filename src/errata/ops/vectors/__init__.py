"""Numerics over embeddings: what methods search them with, and how what they find is laid out for the eye."""
