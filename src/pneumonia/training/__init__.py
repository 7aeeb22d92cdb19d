"""Training: in come images, studies and boxes, out comes what a model sees of them, and what is noted of a training.

Read `story` first: it is the one that all models share and fill in. `groups` has the values that travel together, `batches` and
`augmentation` what an epoch shows, `stage` what stands around it all in the pipeline.
"""
