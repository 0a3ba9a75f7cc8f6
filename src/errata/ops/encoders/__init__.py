"""Encoders: what turns rows into an embedding without labels and without the tested model, fitted on explore rows.

One module per kind, each with `fit(...) -> Fitted` and `encode(..., fitted) -> (m, d) float32`.
"""
