"""Exported models run without Keras: in come a bundle's folder and images, out come what `pneumonia.models` would say.

Read `bundle` first (what lies in the folder), then `graphs` (one graph in one format), then `models` (what answers like a trained
model); `choice` says whether a folder of bundles stands for a folder of trained models.
"""
