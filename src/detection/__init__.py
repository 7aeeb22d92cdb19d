"""What two-stage and one-stage detectors on Keras 3 share: boxes, exact NMS, average precision, optimizer, resumable training."""
