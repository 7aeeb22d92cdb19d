"""The trained models: in come studies with their truth, out come models/<name>/ and objects that score or detect.

A package a model, each with `trained` (loads, predicts; knows nothing of training) and `training`. Read `classifier`
first; `maskrcnn` and `yolo` adapt the two libraries beside this package.
"""
