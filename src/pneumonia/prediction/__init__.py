"""Predictions: in come images and trained models, out come scores and boxes in original pixels, fused into findings.

Read `inference` first, then `fusion`; `tables` is what lies on disk, `submission` the challenge's form of it.
"""
