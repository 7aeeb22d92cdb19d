"""What networks on Keras 3 share, whatever they find: `compute` (where and how exactly), `training` (that can be interrupted),
`boxes` (overlap, exact suppression) and `average_precision`. Knows nothing of radiographs; on TensorFlow, JAX and PyTorch.
"""
