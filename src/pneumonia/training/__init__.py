"""What a model sees in training and what is noted of it: in come images and boxes, out come batches, state files, MLflow's records.

Read `inputs` first, then `batches`.
"""
